import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { host } from '../../lab/description.js';
import { Download, offer } from '../../lab/download.js';
import { udpOn } from '../../lab/machines.js';
import { Namespace } from '../../lab/namespace.js';
import { allPairsPing, network, pairState } from '../../lab/network.js';
import type { WeftNode } from '../../lab/node.js';
import { transfer, withFallbacks } from '../../lab/scenarios/fallbacks.js';
import { until } from '../../lab/until.js';
import { World } from '../../lab/world.js';
import { parseNodeKey } from '../../src/addr/public-key.js';
import { utf8 } from '../../src/bytes.js';
import { seededRandom } from '../../src/random.js';
import { capture } from './capture.js';
import { echoReplies, entropy, udpDatagrams } from './pcap.js';

/** Two real daemons, and what only real kernels and wires can show of their tunnel. */
test.serial('with fallbacks two daemons meet, show them, and carry 20 MB byte for byte', async (t) => {
  // Each key once; one by one, and with other numbers of threads, is for npm run verify.
  await withFallbacks([
    { force: ['no-vnet-header', 'no-evp', 'no-udp-gso'], workers: 2 },
    { force: ['no-aes', 'no-tso', 'no-uso', 'no-steering'], workers: 3 },
  ]);
  t.pass();
});

test.serial(
  'a capture of tunnels, direct and through a relay, shows headers and noise, and strangers hear nothing',
  async (t) => {
    const world = await World.build({ 'bob-laptop': host(), 'carol-server': host(), 'alice-attic': host(), x: host() });
    try {
      await world.separate('bob-laptop', 'alice-attic');
      const file = (name: string) => join(world.folder, name);
      const wire = await capture(world.host('bob-laptop').namespace, 'eth0', file('wire.pcap'), 'udp port 16696', 1600);
      // Each frame a datagram of its own: on virtual wires a burst is seen as one, and only its first header would be known.
      const nodes = await network(world, ['carol-server', 'bob-laptop', 'alice-attic'], '[force]\nno-udp-gso = true\n');
      const [c, b, a] = nodes as [WeftNode, WeftNode, WeftNode];
      await allPairsPing(nodes, 20_000);
      t.is((await b.peer('alice-attic'))?.via, 'carol-server');
      for (const to of [c, a]) await transfer(b, to, 2);
      const secret = 'a sentence that nobody on the way should read';
      const pattern = Buffer.from(secret).subarray(0, 16).toString('hex');
      for (const from of [c, a]) {
        await from.host.namespace.must(['ping', '-6', '-c3', '-i0.1', '-s200', '-p', pattern, await b.address()]);
      }
      await sleep(300);
      await wire.stop();
      const datagrams = udpDatagrams(wire.file).map(({ payload }) => payload);
      const all = Buffer.concat(datagrams);
      const identity = parseNodeKey((await b.status()).node!.id)!;
      const names = ['bob-laptop', 'carol-server', 'alice-attic'];
      const readable = [secret.slice(0, 16), 'HTTP/1.1', ...names, 'weft join'].map(utf8);
      for (const words of [...readable, identity]) {
        t.is(all.indexOf(words), -1, Buffer.from(words).toString());
      }
      for (const payload of datagrams) {
        const known = [0x01, 0x02, 0x04, 0x05, 0x06, 0x07, 0x08, 0x10, 0x11, 0x12, 0x13];
        t.true(known.includes(payload[0]!), `type ${payload[0]}`);
      }
      const sealed = datagrams.filter(([type]) => type! >= 0x10);
      for (const payload of sealed) {
        const { length, byteOffset, buffer } = payload;
        const view = new DataView(buffer, byteOffset, length);
        t.true(
          view.getUint16(0) % 256 < 8 && view.getUint16(2) === 0 && view.getUint32(8) === 0,
          'only a header is bare',
        );
        t.true(length <= 1472, `${length} octets: one frame`);
      }
      for (const [type, least, inner] of [
        [0x10, 1000, 0],
        [0x12, 1000, 40],
      ] as const) {
        const frames = sealed.filter((payload) => payload[0] === type && payload.length > 1200);
        t.true(frames.length > least, `${frames.length} long frames of type ${type}`);
        // Behind the relay header there is the header of the inner frame, bare as any.
        for (const bare of inner === 0 ? [0] : [0, inner]) {
          const indexes = new Set(
            frames.map((payload) => new DataView(payload.buffer, payload.byteOffset + bare).getInt32(4)),
          );
          t.true(indexes.size < 40, `${indexes.size} receiver indexes`);
        }
        for (let at = 16; at < 1200; at++) {
          if (inner > 0 && at >= inner && at < inner + 16) continue;
          const bits = entropy(frames.map((payload) => payload.subarray(at, at + 1)));
          // Noise of so many frames has 7.8 and more.
          t.true(bits > 7.7, `${bits} bits at ${at} of ${frames.length} frames of type ${type}`);
        }
      }
      const noise = entropy(sealed.map((payload) => payload.subarray(payload[0] === 0x12 ? 56 : 16)));
      t.true(noise > 7.999, `${noise} bits an octet`);
      t.log(`${datagrams.length} datagrams, ${noise.toFixed(5)} bits an octet behind the headers`);

      const stranger = world.host('x');
      const heard = await capture(
        stranger.namespace,
        'eth0',
        file('stranger.pcap'),
        `src host ${b.host.address}`,
        1600,
      );
      await stranger.namespace.must(['ping', '-c1', '-W2', b.host.address]);
      const socket = udpOn(stranger);
      const random = seededRandom(3);
      for (let i = 0; i < 4000; i++) {
        const bytes = random.bytes(1 + random.below(i % 10 === 0 ? 8000 : 1300));
        bytes[0] = i % 3 === 0 ? random.below(256) : [1, 2, 3, 4, 5, 6, 7, 8, 0x10, 0x11, 0x12, 0x13][i % 12]!;
        await new Promise((resolve) =>
          socket.send(i % 4 === 0 ? sealed[i % sealed.length]! : bytes, 16696, b.host.address, resolve),
        );
      }
      for (const length of [0, 1, 2, 15, 16, 1199, 1200, 1201, 1472, 9000, 65_507]) {
        await new Promise((resolve) => socket.send(new Uint8Array(length).fill(1), 16696, b.host.address, resolve));
      }
      await sleep(500);
      socket.close();
      await heard.stop();
      t.true(echoReplies(heard.file) > 0, 'what its kernel answers is heard');
      t.is(udpDatagrams(heard.file).length, 0, 'no answer to a stranger');
      const { drops } = await b.status();
      for (const reason of ['handshake-mac1', 'handshake-length', 'handshake-type', 'punch', 'unknown-index']) {
        t.true((drops[reason] ?? 0) > 0, `${reason}: ${JSON.stringify(drops)}`);
      }
      await allPairsPing(nodes, 20_000);
    } finally {
      world.remove();
    }
  },
);

test('30: a path that shrinks from 1500 to 1280 to 1124 without a word, and everything goes on', async (t) => {
  // A line on which 160 MB last longer than both changes take: an unbounded one would need many times as many octets.
  const world = await World.build({ b: host({ wire: { rate: 200 } }), a: host() });
  try {
    const nodes = await network(world, ['b', 'a']);
    const [b, a] = nodes as [WeftNode, WeftNode];
    await allPairsPing(nodes, 20_000);
    await pairState(a, b, 'direct', 10_000);
    const size = async () => (await a.peer('b'))?.tunnel?.mtu ?? 0;
    await until(
      'the path is measured',
      size,
      (octets) => octets >= 1450,
      20_000,
      () => a.tail(),
    );
    const offered = await offer(b.host, await b.address(), 160e6);
    const download = new Download(a.host, offered.url);
    await until(
      'the download runs',
      async () => download.octets,
      (octets) => octets > 5e6,
      10_000,
      () => a.tail(),
    );
    // No packet above 1280, then 1124 octets passes the middle in either direction, and nobody says so.
    const narrow = await silentCore(b, a);
    const shrinkTo = async (octets: number) => {
      await narrow(octets);
      return download.octets;
    };
    const first = await shrinkTo(1280);
    await until(
      'it goes on over 1280',
      async () => download.octets,
      (octets) => octets > first + 2e6,
      20_000,
      () => a.tail(),
    );
    await until(
      'the new size is shown',
      size,
      (octets) => octets > 1200 && octets <= 1280 - 28,
      20_000,
      () => a.tail(),
    );
    // Below the 1280 that IPv6 promises; packets of TCP go as halves all the same.
    const before = await shrinkTo(1124);
    await Promise.race([download.finished, sleep(40_000, undefined, { ref: false }).then(() => download.stop())]);
    offered.stop();
    t.true(before < 140e6, 'the path shrank twice while it ran');
    t.is(download.octets, offered.octets);
    t.is(download.checksum(), offered.checksum);
    t.true(download.longestPause < 10_000, `${download.longestPause} ms without an octet`);
    t.log(`shrunk again after ${before / 1e6} MB; longest pause ${Math.round(download.longestPause)} ms`);
    await until(
      'the least size is shown',
      size,
      (octets) => octets <= 1124 - 28,
      20_000,
      () => a.tail(),
    );
    for (const length of [700, 1000, 1060, 1100, 1150, 1190, 1250, 1320]) {
      const sent = await a.host.namespace.run([
        'ping',
        '-6',
        '-c',
        '3',
        '-i',
        '0.2',
        '-W',
        '2',
        '-s',
        `${length}`,
        await b.address(),
      ]);
      t.is(sent.code, 0, `echoes of ${length} octets: ${sent.stdout}`);
    }
    // Handshakes are larger than what passes in one piece here.
    await a.restart();
    await allPairsPing(nodes, 20_000);
    await pairState(a, b, 'direct', 10_000);
  } finally {
    world.remove();
  }
});

test('30: nor is a tunnel lacking on the smallest path where the kernel does not steer', async (t) => {
  const world = await World.build({ b: host(), a: host() });
  try {
    const nodes = await network(world, ['b', 'a'], '[force]\nno-steering = true\n');
    const [b, a] = nodes as [WeftNode, WeftNode];
    await allPairsPing(nodes, 20_000);
    await pairState(a, b, 'direct', 10_000);
    const narrow = await silentCore(b, a);
    await narrow(1124);
    await a.restart();
    await pairState(a, b, 'direct', 10_000);
    t.pass();
  } finally {
    world.remove();
  }
});

/**
 * The middle between two nodes, `b` behind its device u1 and `a` behind u2, says nothing about sizes any more. The
 * result makes it pass no packet of more octets, in either direction, but those that may be cut.
 */
async function silentCore(b: WeftNode, a: WeftNode): Promise<(octets: number) => Promise<void>> {
  const core = new Namespace(b.host.namespace.name.replace(/b$/, 'core'));
  await core.nft('table ip silent { chain out { type filter hook output priority 0; ip protocol icmp drop; }; }\n');
  return async (octets) => {
    // By routes: a device's own size would also drop what comes in by it, and what may be cut is cut by who sends.
    for (const [device, to] of [
      ['u1', b.host.address],
      ['u2', a.host.address],
    ] as const) {
      await core.must(['ip', 'route', 'replace', to, 'dev', device, 'mtu', 'lock', `${octets}`]);
    }
  };
}

/** A lone node's IPv4 address in the overlay: one it was granted by itself. */
async function ownIpv4(issuer: WeftNode, node: WeftNode, address: string): Promise<void> {
  await node.host.namespace.must(['ip', 'address', 'add', `${address}/32`, 'dev', 'lo']);
  await issuer.weft('grant', node.name, '--lan', `${address}/32`);
}

test('forwarded to a LAN host with transmit checksums off and an nft rewrite, no checksum is bad', async (t) => {
  const world = await World.build({ g: host(), a: host(), l: host() });
  try {
    const nodes = await network(world, ['g', 'a']);
    const [g, a] = nodes as [WeftNode, WeftNode];
    await allPairsPing(nodes, 20_000);
    const lan = world.host('l');
    // A LAN of their own, made by hand: a veth pair without transmit checksums.
    const gateway = g.host.namespace;
    await gateway.must([
      'ip',
      'link',
      'add',
      'lan0',
      'type',
      'veth',
      'peer',
      'name',
      'lan1',
      'netns',
      lan.namespace.name,
    ]);
    for (const [machine, device, last] of [
      [gateway, 'lan0', 1],
      [lan.namespace, 'lan1', 2],
    ] as const) {
      await machine.must(['sysctl', '-qw', `net.ipv6.conf.${device}.disable_ipv6=0`, 'net.ipv6.conf.all.forwarding=1']);
      await machine.must(['ip', 'address', 'add', `fd99::${last}/64`, 'dev', device, 'nodad']);
      await machine.must(['ip', 'address', 'add', `192.168.99.${last}/24`, 'dev', device]);
      await machine.must(['ip', 'link', 'set', device, 'up']);
      await machine.must(['ethtool', '-K', device, 'tx', 'off']);
    }
    const address = await g.address();
    const [ipv4, from] = ['10.99.0.1', '10.99.0.2'];
    await ownIpv4(g, g, ipv4);
    await ownIpv4(g, a, from);
    await gateway.must(['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
    const rewrite = (family: string, to: string, lanHost: string) => `table ${family} rewrite {
  chain pre { type nat hook prerouting priority dstnat; ${family} daddr ${to} meta l4proto { tcp, udp } th dport 5201 dnat to ${lanHost}; }
  chain post { type nat hook postrouting priority srcnat; oifname "lan0" masquerade; }
}
`;
    await gateway.nft(rewrite('ip6', address, 'fd99::2') + rewrite('ip', ipv4, '192.168.99.2'));
    const toLan = 'dst host fd99::2 or dst host 192.168.99.2';
    const wire = await capture(lan.namespace, 'lan1', join(world.folder, 'lan.pcap'), toLan);
    const server = lan.namespace.spawn(['iperf3', '-s']);
    await until(
      'iperf3 listens',
      async () => (await lan.namespace.must(['ss', '-ltn'])).includes(':5201'),
      (is) => is,
      20_000,
      () => '',
    );
    await until(
      'the tunnel carries IPv4',
      async () => (await a.host.namespace.run(['ping', '-n', '-q', '-c1', '-W1', '-I', from, ipv4])).code,
      (code) => code === 0,
      10_000,
      () => g.tail() + a.tail(),
    );
    const client = async (...more: string[]) => {
      for (const way of [
        ['-6', '-c', address],
        ['-4', '-c', ipv4, '-B', from],
      ]) {
        await a.host.namespace.must(['iperf3', ...way, ...more], { timeout: 20_000 });
      }
    };
    await client('-n', '10M');
    await client('-n', '10M', '-R');
    await client('-u', '-b', '100M', '-l', '1200', '-n', '4M');
    await client('-u', '-b', '100M', '-l', '8000', '-n', '4M');
    server.kill('SIGKILL');
    await wire.stop();
    const refused = ['TcpInCsumErrors', 'UdpInCsumErrors', 'Udp6InCsumErrors', 'IpInHdrErrors', 'IpExtInCsumErrors'];
    const counters = await lan.namespace.must(['nstat', '-az', ...refused]);
    for (const name of refused) t.regex(counters, new RegExp(`^${name}\\s+0\\s`, 'm'));
    // 0 bad, 1 good, 2 not looked at: a piece of a datagram that is judged where it is whole.
    const check = ['tcp', 'udp', 'ip'].flatMap((protocol) => ['-o', `${protocol}.check_checksum:TRUE`]);
    const fields = [
      '-T',
      'fields',
      '-e',
      'tcp.checksum.status',
      '-e',
      'udp.checksum.status',
      '-e',
      'ip.checksum.status',
    ];
    const tshark = (...words: string[]) =>
      lan.namespace.must(['tshark', '-r', wire.file, ...check, ...words], { timeout: 60_000 });
    const frames = (await tshark(...fields)).split('\n').map((line) => line.split('\t'));
    // A sum of zero is written as 0xffff by Linux, for TCP too: the same number in one's complement (RFC 1624), one in 65,536.
    // 3: none, as UDP over IPv4 may have, but not what was sent with one.
    const isBad =
      '(tcp.checksum.status == 0 && tcp.checksum != 0xffff) || udp.checksum.status in {0,3} || ip.checksum.status == 0';
    t.is(await tshark('-Y', isBad, '-V', '-x'), '', 'frames with a bad checksum');
    // Pieces of cut datagrams are judged with their last, so not each frame has a verdict.
    for (const [family, header] of [
      ['IPv6', ''],
      ['IPv4', '1'],
    ] as const) {
      for (const [column, protocol] of ['TCP', 'UDP'].entries()) {
        const good = frames.filter((status) => status[2] === header && status[column] === '1').length;
        t.true(good > 1000, `${good} frames of ${protocol} over ${family} with a good one`);
        t.log(`${good} frames of ${protocol} over ${family}, none with a bad checksum`);
      }
    }
  } finally {
    world.remove();
  }
});
