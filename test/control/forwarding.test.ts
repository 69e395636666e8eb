import test from 'ava';
import { formatIp, parseIp } from '../../src/addr/ip.js';
import { type Prefix, parsePrefix } from '../../src/addr/prefix.js';
import { Forwarding } from '../../src/control/forwarding.js';
import type { RouteChange } from '../../src/routing/contract.js';
import { routerIdFrom } from '../../src/routing/router-id.js';

const network = parsePrefix('fd5e:cd52:8400::/40')!;
const prefix = (text: string) => parsePrefix(text)!;
const nowhere = { choices: [], own: false };

/** Reached by the tunnel to node 7, and out of the overlay there. */
function routed(to: Prefix): RouteChange {
  const neighbour = parseIp('fe80::7')!;
  const choice = { interface: 1, neighbour, neighbourNode: 7, nextHop: neighbour, metric: 96, seqno: 1, egress: 7 };
  return { prefix: to, choices: [{ ...choice, routerId: routerIdFrom(0x700, 1) }], own: false, held: false };
}

/** What the kernel holds, and what the plane was told. */
function after(forwarding: Forwarding, changes: readonly RouteChange[]) {
  const { command } = forwarding.apply(changes);
  const kernel = forwarding.kernelRoutes().map((route) => `${route.prefix} ${route.via}`);
  if (command?.kind !== 'patchRoutes') return { kernel, plane: [] };
  const text = (bytes: Uint8Array, length: number) => `${formatIp(bytes)}/${length}`;
  const plane = [
    ...command.prefixes.map(({ prefix: bytes, length, egress }) => `${text(bytes, length)} to ${egress}`),
    ...command.removedPrefixes.map(({ prefix: bytes, length }) => `${text(bytes, length)} gone`),
  ];
  return { kernel, plane };
}

test('a lost prefix is unreachable until it is lost everywhere, so that packets follow no shorter one', (t) => {
  const forwarding = new Forwarding(network);
  const lan = prefix('10.9.0.0/16');
  t.deepEqual(after(forwarding, [routed(lan)]), { kernel: ['10.9.0.0/16 overlay'], plane: ['10.9.0.0/112 to 7'] });
  t.deepEqual(after(forwarding, [{ ...nowhere, prefix: lan, held: true }]), {
    kernel: ['10.9.0.0/16 nowhere'],
    plane: ['10.9.0.0/112 to 0'],
  });
  t.deepEqual(after(forwarding, [{ ...nowhere, prefix: lan, held: false }]), {
    kernel: [],
    plane: ['10.9.0.0/112 gone'],
  });
});

test('a lost default route is never unreachable: the machine has its own, which would be hidden', (t) => {
  for (const [text, inPlane] of [
    ['0.0.0.0/0', '0.0.0.0/96'],
    ['::/0', '::/0'],
  ] as const) {
    const forwarding = new Forwarding(network);
    const everything = prefix(text);
    t.deepEqual(after(forwarding, [routed(everything)]).kernel, [`${text} overlay`]);
    t.deepEqual(after(forwarding, [{ ...nowhere, prefix: everything, held: true }]), {
      kernel: [],
      plane: [`${inPlane} to 0`],
    });
    t.deepEqual(after(forwarding, [routed(everything)]).kernel, [`${text} overlay`], 'and back');
  }
});
