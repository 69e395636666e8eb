import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import test from 'ava';
import { until } from '../../lab/until.js';
import { AnnouncementListener, natPmpAnnouncements, ssdpAnnouncements } from '../../src/upnp/gateways-announcements.js';

test('an interface that could not be listened on is tried again when it is asked for again', async (t) => {
  const socket = createSocket({ type: 'udp4', reuseAddr: true });
  const tried: string[] = [];
  const joined: string[] = [];
  let isThere = false;
  socket.addMembership = (_group, address) => {
    tried.push(address!);
    if (!isThere) throw new Error('no such device');
    joined.push(address!);
  };
  const listener = new AnnouncementListener(ssdpAnnouncements, () => {}, socket);
  t.teardown(() => listener.close());
  listener.listenOn('192.0.2.1');
  await once(socket, 'listening');
  listener.listenOn('192.0.2.2');
  t.deepEqual([tried, joined], [['192.0.2.1', '192.0.2.2'], []]);
  isThere = true;
  for (const address of ['192.0.2.1', '192.0.2.2']) listener.listenOn(address);
  t.deepEqual(joined, ['192.0.2.1', '192.0.2.2']);
});

test('what a router tells all of its network of its address or its start is heard, and nothing else', async (t) => {
  const heard: string[] = [];
  const socket = createSocket({ type: 'udp4', reuseAddr: true });
  const listener = new AnnouncementListener(
    natPmpAnnouncements,
    ({ address, says }) => heard.push(`${address} ${says}`),
    socket,
  );
  t.teardown(() => listener.close());
  listener.listenOn('127.0.0.1');
  await once(socket, 'listening');
  const router = createSocket('udp4');
  t.teardown(() => router.close());
  const address = `127.${64 + (process.pid % 128)}.${(process.pid >> 7) & 0xff}.200`;
  await new Promise<void>((resolve) => router.bind(0, address, resolve));
  router.setMulticastInterface('127.0.0.1');
  const told = Buffer.from([0, 128, 0, 0, 0, 0, 0, 9, 11, 0, 0, 7]);
  const notTold = [Buffer.of(), Buffer.from([0, 0]), told.subarray(0, 11), Buffer.from([2, 0x80]), Buffer.alloc(24, 2)];
  const pcp = Buffer.concat([Buffer.from([2, 0x80]), Buffer.alloc(22)]);
  for (const bytes of [...notTold, told, pcp]) router.send(bytes, 5350, '224.0.0.1');
  await until(
    'heard',
    () => heard.filter((one) => one === `${address} started`).length,
    (count) => count >= 2,
    3000,
  );
  t.is(heard.filter((one) => one === `${address} started`).length, 2);
});

test('a gateway that says by SSDP that it is there is heard with its boot number, and one that goes without', (t) => {
  const type = 'urn:schemas-upnp-org:device:InternetGatewayDevice:1';
  const read = (nts: string, ...more: readonly string[]) =>
    ssdpAnnouncements.read(
      Buffer.from(`NOTIFY * HTTP/1.1\r\nNT: ${type}\r\nNTS: ${nts}\r\n${more.join('\r\n')}\r\n\r\n`),
    );
  t.deepEqual(read('ssdp:alive', 'BOOTID.UPNP.ORG: 7'), { says: 'there', life: '7' });
  t.deepEqual(read('ssdp:alive', `01-NLS: ${'8'.repeat(100)}`), { says: 'there', life: '8'.repeat(64) });
  t.deepEqual(read('ssdp:alive'), { says: 'there' });
  t.deepEqual(read('ssdp:byebye', 'BOOTID.UPNP.ORG: 7'), { says: 'started' });
  t.is(read('ssdp:nonsense'), undefined);
  t.is(
    ssdpAnnouncements.read(Buffer.from('NOTIFY * HTTP/1.1\r\nNT: upnp:rootdevice\r\nNTS: ssdp:alive\r\n\r\n')),
    undefined,
  );
});
