import { nodePrefix } from '../../src/addr/node-number.js';
import type { Prefix } from '../../src/addr/prefix.js';
import { certificateAuthority } from '../../src/control/authority.js';
import { signedOctets } from '../../src/routing/admission.js';
import { PacketWriter } from '../../src/routing/codec/packet-writer.js';
import { highOf, lowOf } from '../../src/routing/router-id.js';
import { second } from '../../src/time.js';
import { type Machine, World } from './world.js';

interface Claim {
  readonly prefix: Prefix;
  readonly routerId: string;
  readonly seqno: number;
  readonly signer: Machine;
  readonly metric?: number;
  readonly egress?: number;
  /** Of something else: false. Absent: of exactly this. */
  readonly signature?: Uint8Array;
}

/** What an origin signs of this. */
export function signatureOf({ prefix, routerId, seqno, signer, egress = 0 }: Claim): Uint8Array {
  const octets = signedOctets(prefix, highOf(routerId), lowOf(routerId), seqno, egress);
  return certificateAuthority(signer.mesh).sign(octets);
}

/** An Update with a signature that really is the signer's, of exactly this. */
export function claim(one: Claim): Uint8Array {
  return claims([one]);
}

/** A packet of several, as many as it takes. */
export function claims(all: readonly Claim[]): Uint8Array {
  const writer = new PacketWriter(1199);
  for (const one of all) {
    const { prefix, routerId, seqno, metric = 1, egress } = one;
    writer.update({
      prefix: prefix.bytes,
      prefixLength: prefix.length,
      routerIdHigh: highOf(routerId),
      routerIdLow: lowOf(routerId),
      seqno,
      metric,
      interval: 30_000,
      nextHop4: undefined,
      egress,
      signature: one.signature ?? signatureOf(one),
    });
  }
  return writer.finish();
}

/** Founder, liar and victim, each with a tunnel to each. */
export function three(seed: number): [World, Machine, Machine, Machine] {
  const world = new World(seed);
  const machines = world.network(3);
  const joined = () => machines.every((a) => machines.every((b) => a === b || a.nextHopTo(b) === b.number));
  world.until(joined, 20 * second);
  return [world, ...(machines as [Machine, Machine, Machine])];
}

/** Of the node itself. */
export const prefixOf = (machine: Machine) => nodePrefix(machine.mesh.membership.network.prefix, machine.number);

/** What the victim's routes to a prefix are; ways that are used come first. */
export function routesTo(world: World, victim: Machine, prefix: Prefix) {
  return victim
    .control!.speaker.view(world.now)
    .filter((row) => row.prefix.key === prefix.key)
    .sort((a, b) => Number(b.selected) - Number(a.selected));
}
