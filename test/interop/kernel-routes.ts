import { formatIp, type IpBytes } from '../../src/addr/ip.js';
import type { Prefix } from '../../src/addr/prefix.js';
import { runIp } from './ip-tool.js';

/** A route learned from a LAN as the kernel shall hold it. */
export interface LanRoute {
  readonly prefix: Prefix;
  /** Undefined: unreachable, while a retracted prefix is held (RFC 8966 §3.5.4). */
  readonly way: { readonly nextHop: IpBytes; readonly device: string } | undefined;
}

export interface KernelRoutesOptions {
  readonly failed: (cause: Error) => void;
}

/** By which they are told from all others. */
export const routeProtocol = 120;
const table = 16600;
const rulePriority = 32_697;

/**
 * The kernel's routes of the lone speaker (speaker-node.ts), which has no host plan: in a table of their own, looked up
 * after every longer-than-default route of the main table and before its default route.
 *
 * What is wanted is written down at once and carried out in order by one `ip -batch` at a time, so a burst of changes
 * costs one process. `start` removes what an earlier run left after a kill.
 */
export class KernelRoutes {
  readonly #failed: (cause: Error) => void;
  readonly #pending = new Map<string, LanRoute | Prefix>();
  /** What the kernel holds of ours, by prefix. */
  readonly #installed = new Set<string>();
  #busy: Promise<void> = Promise.resolve();
  #scheduled = false;

  constructor(options: KernelRoutesOptions) {
    this.#failed = options.failed;
  }

  /** Removes leftovers and puts the rules in place. */
  async start(): Promise<void> {
    await this.#sweep();
    for (const family of ['-4', '-6']) {
      await runIp(
        [family, '-batch', '-'],
        [
          `rule add lookup main suppress_prefixlength 0 priority ${rulePriority} protocol ${routeProtocol}`,
          `rule add lookup ${table} priority ${rulePriority + 1} protocol ${routeProtocol}`,
          '',
        ].join('\n'),
      );
    }
  }

  /** The kernel shall have these routes and not those. The last word on a prefix counts. */
  apply(set: readonly LanRoute[], removed: readonly Prefix[]): void {
    for (const prefix of removed) this.#pending.set(prefix.key, prefix);
    for (const route of set) this.#pending.set(route.prefix.key, route);
    if (this.#scheduled || this.#pending.size === 0) return;
    this.#scheduled = true;
    this.#busy = this.#busy.then(() => this.#carryOut()).catch(this.#failed);
  }

  async #carryOut(): Promise<void> {
    this.#scheduled = false;
    const lines: Record<'-4' | '-6', string[]> = { '-4': [], '-6': [] };
    for (const [key, wanted] of this.#pending) {
      const removal = !('way' in wanted);
      const prefix = removal ? wanted : wanted.prefix;
      if (removal && !this.#installed.delete(key)) continue;
      if (!removal) this.#installed.add(key);
      lines[prefix.isIpv4 ? '-4' : '-6'].push(removal ? this.#deletion(prefix) : this.#replacement(wanted));
    }
    this.#pending.clear();
    for (const family of ['-4', '-6'] as const) {
      if (lines[family].length > 0) await runIp([family, '-force', '-batch', '-'], `${lines[family].join('\n')}\n`);
    }
  }

  #replacement({ prefix, way }: LanRoute): string {
    const ending = `table ${table} protocol ${routeProtocol}`;
    if (!way) return `route replace unreachable ${prefix} ${ending}`;
    const gateway = formatIp(way.nextHop);
    const via = prefix.isIpv4 && gateway.includes(':') ? `via inet6 ${gateway}` : `via ${gateway}`;
    return `route replace ${prefix} ${via} dev ${way.device} onlink ${ending}`;
  }

  #deletion(prefix: Prefix): string {
    return `route del ${prefix} table ${table} protocol ${routeProtocol}`;
  }

  /** Takes away all that is ours. */
  async stop(): Promise<void> {
    this.#pending.clear();
    await this.#busy;
    await this.#sweep();
  }

  async #sweep(): Promise<void> {
    this.#installed.clear();
    for (const family of ['-4', '-6']) {
      // An empty table is an error to ip, and so is a rule that is not there.
      await runIp([family, 'route', 'flush', 'table', `${table}`, 'protocol', `${routeProtocol}`]).catch(() => '');
      await runIp([family, 'rule', 'flush', 'protocol', `${routeProtocol}`]).catch(() => '');
    }
  }
}
