import test from 'ava';
import { NodeIdentity } from '../../src/addr/identity.js';
import { requireInvitation } from '../../src/addr/invitation.js';
import type { MeshEffect } from '../../src/mesh/effects.js';
import { encodeJoinDatagram, JoinType } from '../../src/mesh/join-datagram.js';
import { JoinInitiator } from '../../src/mesh/join-initiator.js';
import { UdpTurns } from '../../src/mesh/udp-turns.js';
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

/** When a newcomer is in by a member whose answers reach it by a stream alone, opened after a second; undefined: never. */
function joiningByStream(takes: (datagram: Uint8Array, isStreamOpen: boolean) => boolean): Millis | undefined {
  const world = new World(7);
  const issuer = world.found();
  const door = world.member(issuer, 'door');
  const token = world.invite(issuer);
  const host = world.join(token);
  const stream = { address: host.endpoint.address, port: 50_000 };
  const begun = world.now;
  const segments: Uint8Array[] = [];
  let at: Millis | undefined;
  world.lose = (from, effect) => {
    if (effect.kind !== 'sendDatagram') return false;
    if (from === host) {
      if (effect.to.address !== door.endpoint.address) return true;
      const isOpen = world.now >= begun + second;
      const isLost = !takes(effect.bytes, isOpen);
      // Behind the datagram, as a segment is.
      if (isOpen) segments.push(effect.bytes);
      return isLost;
    }
    if (from === door && effect.to.port === stream.port) {
      world.perform(
        host,
        host.joiner!.handle({ kind: 'datagram', from: door.endpoint, bytes: effect.bytes }, world.now),
      );
    }
    return true;
  };
  while (world.now < begun + 31 * second && at === undefined) {
    world.run(20);
    for (const bytes of segments.splice(0)) world.post(door, { kind: 'joinDatagram', from: stream, bytes });
    world.settle();
    if (host.joined) at = world.now - begun;
  }
  return at;
}

test('where UDP gets out and brings nothing back, a newcomer is in by streams to a member that passes on', (t) => {
  t.is(
    joiningByStream(() => true),
    undefined,
    'each exchange is tied to UDP',
  );
  const turns = new UdpTurns();
  const at = joiningByStream((datagram, isStreamOpen) => turns.takes(datagram, isStreamOpen));
  t.true(at !== undefined && at < 8 * second, `${at}`);
});

test('every exchange goes over UDP until a stream is open, and once UDP has brought anything', (t) => {
  const exchange = (n: number, sent = 0) => {
    const message = { type: JoinType.initiation, issuer: 1, exchange: new Uint8Array(8).fill(n) };
    return encodeJoinDatagram({ ...message, part: new Uint8Array(80).fill(sent) }, new Uint8Array(32));
  };
  const turns = new UdpTurns();
  const takes = [1, 2, 3, 4, 5].map((n) => turns.takes(exchange(n), n >= 3));
  t.deepEqual(takes, [true, true, false, true, false]);
  t.false(turns.takes(exchange(3, 1), true), 'an exchange goes on as it began');
  turns.heard();
  t.deepEqual(
    [6, 7].map((n) => turns.takes(exchange(n), true)),
    [true, true],
  );
});
