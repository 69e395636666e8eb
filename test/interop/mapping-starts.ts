import { median } from '../../lab/median.js';
import { MiniupnpdHome } from './miniupnpd-home.js';

export interface MappingStarts {
  readonly router: string;
  readonly starts: number;
  /** Starts after which the kernel of the router forwarded within 3 s, and had nothing left after the exit. */
  readonly good: number;
  /** From the start of the process to the mapping, in milliseconds. */
  readonly median: number;
  readonly slowest: number;
}

/** Starts a node this often behind each kind of real router, and counts. For `npm run verify`; needs root. */
export async function mappingStarts(starts: number): Promise<MappingStarts[]> {
  const results: MappingStarts[] = [];
  for (const [router, protocol, generation1] of [
    ['IGDv2', 'upnp', false],
    ['IGDv1', 'upnp', true],
    ['NAT-PMP', 'nat-pmp', false],
  ] as const) {
    const home = new MiniupnpdHome('starts');
    const times: number[] = [];
    try {
      home.startRouter({ externalAddress: '11.0.0.2', generation1 });
      for (let i = 0; i < starts; i++) times.push(await once(home, protocol));
    } finally {
      await home.remove();
    }
    const good = times.filter((time) => time <= 3000).length;
    results.push({ router, starts, good, median: median(times), slowest: Math.max(...times) });
  }
  return results;
}

/** The time to the mapping, or infinity when it was late, absent or left behind. */
async function once(home: MiniupnpdHome, protocol: 'upnp' | 'nat-pmp'): Promise<number> {
  const client = home.startClient([protocol]);
  const status = await client.status(({ state }) => state === 'mapped', 3000).catch(() => undefined);
  const time = performance.now() - client.startedAt;
  const forwarded = status !== undefined && home.forwardings().length === 1;
  await client.stop();
  return forwarded && home.forwardings().length === 0 ? time : Number.POSITIVE_INFINITY;
}
