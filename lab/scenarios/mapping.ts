import { setTimeout as sleep } from 'node:timers/promises';
import type { PortMappingInfo } from '../../daemon/api.js';
import { type Millis, minute, second } from '../../src/time.js';
import { home, host, type MappingProtocol } from '../description.js';
import { duration, type Narrator } from '../narrator.js';
import { network } from '../network.js';
import type { WeftNode } from '../node.js';
import { until } from '../until.js';
import { World } from '../world.js';

/** What a home behind a router that maps ports measured. */
export interface MappingResult {
  readonly protocol: PortMappingInfo['protocol'];
  /** From the daemon's start to a mapped and proven endpoint. */
  readonly start: Millis;
  /** The same from the moment the daemon answers. */
  readonly ready: Millis;
  /** From the router's return, with another outer address, to the same again. */
  readonly reboot: Millis;
  /** Mappings left on the router after an orderly stop, of UDP and TCP. */
  readonly left: number;
}

/** Waits until what the node's router maps at its present address is proven, not what something else opens there. */
async function mappedAndProven(node: WeftNode, within: Millis): Promise<Millis> {
  const router = node.host.router!;
  const { took } = await until(
    `${node.name} is mapped and proven at ${router.address}`,
    async () => {
      const { portMapping, endpoints } = await node.status();
      return { portMapping, endpoints };
    },
    ({ portMapping, endpoints }) =>
      portMapping.state === 'mapped' &&
      portMapping.externalAddress === router.address &&
      endpoints.some(
        ({ address, port, source, proven }) =>
          proven && source === portMapping.protocol && address === router.address && port === portMapping.externalPort,
      ),
    within,
    () => `${node.tail()}\n── the router\n${router.gateway?.log().slice(-10).join('\n')}`,
  );
  return took;
}

/** Waits until the router forwards the node's port over both: UDP at once, TCP a moment later. */
async function bothForwarded(node: WeftNode, within: Millis): Promise<void> {
  const forwarded = async () => (await node.host.router!.gateway!.mappings()).map(({ protocol }) => protocol).sort();
  await until(
    'UDP and TCP are forwarded',
    forwarded,
    (seen) => seen.join() === 'tcp,udp',
    within,
    () => node.tail(),
  );
}

/** A home behind real miniupnpd: start, a reboot of the router with another address, an orderly stop. */
export async function mapping(tell: Narrator, protocols: readonly MappingProtocol[]): Promise<MappingResult> {
  const world = await World.build(
    { 'dc-1': host(), 'dc-2': host(), 'home-a': home({ mapping: protocols }) },
    { cold: true },
  );
  try {
    const router = world.router('home-a');
    // Joined while the router maps nothing: peers make no more than six dial-backs a minute for anybody.
    await router.gateway!.stop();
    await network(world, ['dc-1', 'dc-2', 'home-a']);
    const node = world.node('home-a');
    await node.kill('SIGTERM');
    await router.gateway!.start();
    const started = performance.now();
    await node.start();
    const ready = await mappedAndProven(node, 20 * second);
    const start = performance.now() - started;
    const { protocol } = (await node.status()).portMapping;
    tell.good(`${protocols}: mapped by ${protocol} and proven ${duration(start)} after the start`);

    await router.switchOff();
    await router.switchOn(router.address.replace(/\d+$/, '77'));
    const reboot = await mappedAndProven(node, 30 * second);
    tell.good(`${protocols}: mapped and proven at another address ${duration(reboot)} after the router came back`);

    await bothForwarded(node, 10 * second);
    await node.kill('SIGTERM');
    const left = (await router.gateway!.mappings()).length;
    tell.good(`${protocols}: ${left} mappings are left after an orderly stop`);
    return { protocol, start, ready, reboot, left };
  } finally {
    world.remove();
  }
}

/** How long a router is without power, and then without its line, in `routersAway`. */
export const outage = { power: 120 * second, line: 60 * second } as const;

/**
 * Homes behind real miniupnpd, one for each protocol, whose routers lose their power and then wait for their line: from the moment
 * that it carries, with another outer address, to mapped and proven.
 */
export async function routersAway(tell: Narrator, protocols: readonly MappingProtocol[]): Promise<Map<string, Millis>> {
  const homes = Object.fromEntries(protocols.map((protocol) => [protocol, home({ mapping: [protocol] })]));
  const world = await World.build({ 'dc-1': host(), 'dc-2': host(), ...homes }, { cold: true });
  try {
    await network(world, ['dc-1', 'dc-2', ...protocols]);
    await Promise.all(protocols.map((name) => mappedAndProven(world.node(name), 90 * second)));
    const routers = protocols.map((name) => world.router(name));
    for (const router of routers) await router.switchOff();
    await sleep(outage.power);
    for (const router of routers) await router.switchOnWithoutLine();
    tell.step(`the routers answer again after ${duration(outage.power)}, and have no line`);
    await sleep(outage.line);
    const back = protocols.map(async (name) => {
      const router = world.router(name);
      await router.lineUp(router.address.replace(/\d+$/, '77'));
      const took = await mappedAndProven(world.node(name), minute);
      tell.good(`${name}: mapped and proven ${duration(took)} after its line`);
      return [name, took] as const;
    });
    return new Map(await Promise.all(back));
  } finally {
    world.remove();
  }
}

/** A start that takes longer has its log kept. */
export const soon: Millis = 3 * second;

/** What many starts behind routers that map ports measured. */
export interface StartsResult {
  /** From each daemon's start to a mapped and proven endpoint; those that were not within 20 s are not in it. */
  readonly starts: readonly Millis[];
  readonly failures: readonly string[];
  /** Mappings left on a router after an orderly stop, all of them together. */
  readonly left: number;
}

/**
 * So many homes, each behind a router of its own, whose daemons are started and stopped in order in turn, `times` times
 * in all. Each start asks for two dial-backs, and a peer makes six a minute for one asker and thirty in all: hence many
 * homes, and six others. Sixteen together, so that everybody has a tunnel to everybody.
 */
export async function mappingStarts(
  tell: Narrator,
  protocol: MappingProtocol,
  times: number,
  count: number,
): Promise<StartsResult> {
  const names = Array.from({ length: count }, (_, i) => `home-${i}`);
  const homes = Object.fromEntries(names.map((name) => [name, home({ mapping: [protocol] })]));
  const others = Array.from({ length: 6 }, (_, i) => `dc-${i + 1}`);
  const world = await World.build(
    { ...Object.fromEntries(others.map((name) => [name, host()])), ...homes },
    { cold: true },
  );
  const starts: Millis[] = [];
  const failures: string[] = [];
  let left = 0;
  try {
    for (const name of names) await world.router(name).gateway!.stop();
    await network(world, [...others, ...names]);
    for (const name of names) {
      await world.node(name).kill('SIGTERM');
      await world.router(name).gateway!.start();
    }
    for (let done = 0; done < times; done++) {
      const name = names[done % count]!;
      const node = world.node(name);
      const started = performance.now();
      try {
        await node.start();
        await mappedAndProven(node, 20 * second);
        const took = performance.now() - started;
        starts.push(took);
        if (took >= soon) failures.push(`start ${done + 1} took ${duration(took)}\n${node.tail()}`);
      } catch (error) {
        failures.push(`start ${done + 1}: ${error instanceof Error ? error.message : String(error)}`);
      }
      await node.kill('SIGTERM');
      left += (await world.router(name).gateway!.mappings()).length;
      if ((done + 1) % count === 0) {
        tell.step(`${protocol}: ${starts.length} of ${done + 1}, the slowest after ${duration(Math.max(...starts))}`);
      }
    }
    return { starts, failures, left };
  } finally {
    world.remove();
  }
}
