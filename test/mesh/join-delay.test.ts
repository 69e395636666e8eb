import test from 'ava';
import { NodeIdentity } from '../../src/addr/identity.js';
import { requireInvitation } from '../../src/addr/invitation.js';
import type { MeshEffect } from '../../src/mesh/effects.js';
import { JoinType } from '../../src/mesh/join-datagram.js';
import { JoinInitiator } from '../../src/mesh/join-initiator.js';
import { type Millis, second } from '../../src/time.js';
import { type Host, World } from './world.js';

const newcomer = { address: '9.9.9.9', port: 40_000 };

interface Slowness {
  readonly doors: number;
  /** The place of the only door in the token that is not dead. */
  readonly living: number;
  /** From a message to the answer, by the message's type. */
  readonly delay: (type: number) => Millis;
  /** Called with every message that the living door gets, before the issuer does. */
  readonly arrives?: (issuer: Host, world: World) => void;
}

/** When the newcomer was in, and how often each door was asked; undefined: it has given up. */
function joining({ doors, living, delay, arrives }: Slowness): { at: Millis | undefined; asked: number[] } {
  const world = new World(5);
  const issuer = world.found();
  const invitation = requireInvitation(world.invite(issuer));
  const [own] = invitation.members;
  const members = Array.from({ length: doors }, (_, i) => ({
    ...own!,
    endpoint: i === living ? own!.endpoint : { address: `12.0.0.${i + 1}`, port: 16696 },
  }));
  const identity = NodeIdentity.make(world.random);
  const initiator = new JoinInitiator({ ...invitation, members }, identity, 'slow', world.random, world.wallClock);
  let underWay: { readonly at: Millis; readonly bytes: Uint8Array }[] = [];
  const asked = members.map(() => 0);
  let end: MeshEffect['kind'] | undefined;
  const perform = (effects: readonly MeshEffect[]) => {
    for (const effect of effects) {
      if (effect.kind === 'sendDatagram') {
        const place = members.findIndex(({ endpoint }) => endpoint.address === effect.to.address);
        asked[place]!++;
        if (place === living) underWay.push({ at: world.now + delay(effect.bytes[0]!), bytes: effect.bytes });
      } else if (effect.kind === 'joined' || effect.kind === 'joinFailed') {
        end = effect.kind;
      }
    }
  };
  while (end === undefined) {
    world.now = Math.max(world.now, Math.min(initiator.deadline(), ...underWay.map(({ at }) => at)));
    const arrived = underWay.filter(({ at }) => at <= world.now);
    underWay = underWay.filter(({ at }) => at > world.now);
    for (const { bytes } of arrived) {
      arrives?.(issuer, world);
      for (const effect of issuer.mesh!.handle({ kind: 'joinDatagram', from: newcomer, bytes }, world.now)) {
        if (effect.kind !== 'sendDatagram') continue;
        perform(initiator.handle({ kind: 'datagram', from: own!.endpoint, bytes: effect.bytes }, world.now));
      }
    }
    if (initiator.deadline() <= world.now) perform(initiator.tick(world.now));
  }
  return { at: end === 'joined' ? world.now : undefined, asked };
}

const places = [1, 2, 3, 4].flatMap((doors) => Array.from({ length: doors }, (_, living) => ({ doors, living })));

test('who is answered after three seconds each time is in within fifteen, whichever of one to four doors is alive', (t) => {
  for (const place of places) {
    const { at } = joining({ ...place, delay: () => 3 * second });
    t.true(at !== undefined && at < 15 * second, `${JSON.stringify(place)}: ${at}`);
  }
});

test('an issuer that takes up to ten seconds to spend a token, on a slow disk, admits all the same', (t) => {
  for (const place of places) {
    for (const slow of [3, 6, 10]) {
      const delay = (type: number) => (type === JoinType.transport ? slow * second : 60);
      const { at } = joining({ ...place, delay });
      t.true(at !== undefined && at < (slow + 3) * second, `${JSON.stringify(place)}, ${slow} s: ${at}`);
    }
  }
});

test('with every answer at once, a newcomer is in after half a second wherever the living door is, and asks no dead one again', (t) => {
  for (const place of places) {
    const { at, asked } = joining({ ...place, delay: () => 20 });
    t.true(at !== undefined && at <= 0.5 * second, `${JSON.stringify(place)}: ${at}`);
    t.true(
      asked.every((count, i) => i === place.living || count <= 1),
      JSON.stringify({ place, asked }),
    );
  }
});

test('an issuer that is restarted between response and request has its door asked in a fresh exchange', (t) => {
  for (const place of places) {
    let arrived = 0;
    const arrives = (issuer: Host, world: World) => {
      if (++arrived !== 2) return;
      world.crash(issuer);
      world.start(issuer);
    };
    const { at } = joining({ ...place, delay: () => 20, arrives });
    t.true(at !== undefined && at < 12 * second, `${JSON.stringify(place)}: ${at}`);
  }
});

test('nobody is asked more often than twice a second at first, and every three later', (t) => {
  const { at, asked } = joining({ doors: 4, living: -1, delay: () => 0 });
  t.is(at, undefined);
  for (const count of asked) t.true(count >= 10 && count <= 14, String(asked));
});
