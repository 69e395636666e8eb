import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import test from 'ava';
import { AnnouncementListener } from '../../src/upnp/gateways-ssdp.js';

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
  const listener = new AnnouncementListener(() => {}, socket);
  t.teardown(() => listener.close());
  listener.listenOn('192.0.2.1');
  await once(socket, 'listening');
  listener.listenOn('192.0.2.2');
  t.deepEqual([tried, joined], [['192.0.2.1', '192.0.2.2'], []]);
  isThere = true;
  for (const address of ['192.0.2.1', '192.0.2.2']) listener.listenOn(address);
  t.deepEqual(joined, ['192.0.2.1', '192.0.2.2']);
});
