import type { IpBytes } from '../../src/addr/ip.js';
import { Prefix } from '../../src/addr/prefix.js';
import type { LanPolicy } from '../../src/routing/contract.js';
import { isDefaultRoute } from '../../src/routing/interface.js';
import { type KernelView, takenPrefixes } from './kernel-view.js';

/** What one `[[babel.interface]]` says of prefixes. */
export interface LanRules {
  readonly device: string;
  /** Undefined: what our certificate grants. */
  readonly import: readonly Prefix[] | undefined;
  /** Undefined: everything. */
  readonly export: readonly Prefix[] | undefined;
}

const everything = [new Prefix(new Uint8Array(16), 0)];
const everyIpv4 = new Prefix(Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0]), 96);

/** What the speaker may take from a LAN and tell it, by config, certificate and kernel. `own`: addresses as in `LanPolicy`. */
export function lanPolicy(
  rules: LanRules,
  grants: readonly Prefix[],
  view: KernelView,
  own: readonly IpBytes[],
): LanPolicy {
  return {
    // A default route never follows from a certificate alone.
    imports: rules.import ?? grants.filter((prefix) => !isDefaultRoute(prefix)),
    exports: rules.export ?? [...everything, everyIpv4],
    connected: takenPrefixes(view),
    onLink: view.connected.filter(({ device }) => device === rules.device).map(({ prefix }) => prefix),
    own: own.map((address) => new Prefix(address, 128)),
  };
}

/**
 * What a gateway originates: of the networks connected to its LANs the part that its certificate grants, and of its own
 * addresses those that are granted one by one. Never anything of the overlay itself.
 */
export function originated(
  connected: readonly Prefix[],
  ownAddresses: readonly IpBytes[],
  grants: readonly Prefix[],
  network: Prefix,
): Prefix[] {
  const found = new Map<string, Prefix>();
  const add = (prefix: Prefix) => {
    if (!network.covers(prefix)) found.set(prefix.key, prefix);
  };
  for (const granted of grants) {
    for (const held of connected) {
      if (held.isIpv4 !== granted.isIpv4) continue;
      if (granted.covers(held)) add(held);
      else if (held.covers(granted)) add(granted);
    }
    if (granted.length === 128 && ownAddresses.some((address) => granted.contains(address))) add(granted);
  }
  return [...found.values()];
}
