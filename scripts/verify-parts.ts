/**
 * A part of `npm run verify`: a built script that reports rows by `reportRow` and exits 0 when it could run to its end.
 */
export interface VerifyPart {
  readonly name: string;
  readonly what: string;
  readonly command: readonly string[];
  readonly minutes: number;
  readonly root: boolean;
}

/** With the longest each may take, which is held by ending it there. */
export const verifyParts: readonly VerifyPart[] = [
  {
    name: 'mapping',
    what: 'port mapping on real miniupnpd, a hundred starts each over IGDv2, IGDv1 and NAT-PMP',
    command: ['dist/test/interop/verify-mapping.js'],
    minutes: 2,
    root: true,
  },
  {
    name: 'simulator',
    what: '1,000 nodes against their figures; every scenario with many seeds, and the long storms',
    command: [
      '--max-old-space-size=8000',
      '--max-semi-space-size=32',
      '--heap-growing-percent=30',
      'dist/test/sim/verify.js',
    ],
    minutes: 20,
    root: false,
  },
  {
    name: 'routers',
    what: 'a babeld that begins again with its router-id and a seqno of long ago, before weft and before BIRD',
    command: ['dist/test/interop/verify.js'],
    minutes: 8,
    root: true,
  },
  {
    name: 'topology',
    what: 'hops to 6,400 nodes, survivors of half a network, delays over 2,500 nodes, from the product’s choice of tunnels',
    command: ['dist/test/sim/verify-links.js'],
    minutes: 10,
    root: false,
  },
  {
    name: 'admission',
    what: 'two machines join with one token in the same moment, a hundred times',
    command: ['dist/test/lab/verify-admission.js'],
    minutes: 2,
    root: true,
  },
  {
    name: 'plane',
    what: 'floods of forged handshakes, each fallback with real daemons, memory and idle processor time',
    command: ['dist/lab/verify-plane.js'],
    minutes: 20,
    root: true,
  },
  {
    name: 'proven-igd2',
    what: 'the daemon behind real routers: mapped and proven over IGDv2, a hundred starts',
    command: ['dist/test/lab/verify-proven.js', 'igd2'],
    minutes: 7,
    root: true,
  },
  {
    name: 'proven-nat-pmp',
    what: 'the daemon behind real routers: mapped and proven over NAT-PMP, a hundred starts',
    command: ['dist/test/lab/verify-proven.js', 'nat-pmp'],
    minutes: 7,
    root: true,
  },
  {
    name: 'underlay',
    what: 'the daemons behind real routers: mapped and proven, also when away for long, punching counted, takeover without loss',
    command: ['dist/test/lab/verify-underlay.js'],
    minutes: 7,
    root: true,
  },
  {
    name: 'roaming',
    what: 'addresses, lines, networks and a carrier’s ports change under a flow and a TCP connection, a machine sleeps; join and back',
    command: ['dist/lab/verify-roaming.js'],
    minutes: 4,
    root: true,
  },
  {
    name: 'demo',
    what: 'npm run demo to its end, and ended by Ctrl-C at several moments',
    command: ['dist/test/lab/verify-demo.js'],
    minutes: 2,
    root: true,
  },
];
