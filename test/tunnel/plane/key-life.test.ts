import test from 'ava';
import { addressOf } from '../../../src/ffi.js';
import { type Aead, type AeadKey, NodeAead } from '../../../src/tunnel/plane/aead.js';
import { Arena } from '../../../src/tunnel/plane/arena.js';
import type { Cipher } from '../../../src/tunnel/plane/contract.js';
import { EvpAead } from '../../../src/tunnel/plane/linux-evp.js';
import { SecretsMade } from '../../helpers/secrets-made.js';
import { type Node, receiverIndex, World } from './world.js';

/** Remembers which key schedules have not been wiped, and the octets they were made from. */
class WatchedAead implements Aead {
  readonly live = new Set<AeadKey>();
  readonly given: Uint8Array[] = [];
  readonly #aead: Aead;

  constructor(aead: Aead) {
    this.#aead = aead;
  }

  sealing(cipher: Cipher, key: Uint8Array): AeadKey {
    return this.#watch(this.#aead.sealing(cipher, key), key);
  }

  opening(cipher: Cipher, key: Uint8Array): AeadKey {
    return this.#watch(this.#aead.opening(cipher, key), key);
  }

  #watch(schedule: AeadKey, key: Uint8Array): AeadKey {
    this.given.push(key);
    this.live.add(schedule);
    const wipe = schedule.wipe.bind(schedule);
    schedule.wipe = () => {
      this.live.delete(schedule);
      wipe();
    };
    return schedule;
  }
}

const lanes = 3;
const workers = 3;
/** Of one session, on both sides: each worker seals on one lane and opens on all. */
const schedules = 2 * workers * (1 + lanes);

const endings: readonly {
  readonly name: string;
  readonly end: (world: World, a: Node, b: Node) => void;
  /** Sessions that are alive when it is over. */
  readonly sessions: number;
}[] = [
  {
    name: 'dropped',
    end: (_, a, b) => {
      a.command({ kind: 'dropSession', link: 2, localIndex: receiverIndex(1, 2, 1) });
      b.command({ kind: 'dropSession', link: 1, localIndex: receiverIndex(2, 1, 1) });
    },
    sessions: 0,
  },
  {
    name: 'closed with its link',
    end: (_, a, b) => {
      a.command({ kind: 'closeLink', link: 2 });
      b.command({ kind: 'closeLink', link: 1 });
    },
    sessions: 0,
  },
  { name: '180 s old', end: (world) => world.run(180_500), sessions: 0 },
  {
    name: 'the oldest of seven',
    end: (world, a, b) => {
      for (let generation = 2; generation <= 7; generation++) world.rekey(a, b, generation);
    },
    sessions: 6,
  },
  {
    name: 'there when the plane stops',
    end: (_, a, b) => {
      for (const { plane } of [a, b]) void plane.stop();
    },
    sessions: 0,
  },
];

for (const kind of ['node:crypto', 'EVP'] as const) {
  for (const { name, end, sessions } of endings) {
    test(`the keys of a session that is ${name} are zeroed (${kind})`, (t) => {
      const made = new SecretsMade();
      made.during(() => {
        const arena = kind === 'EVP' ? new Arena(addressOf) : new Arena();
        const aead = new WatchedAead(kind === 'EVP' ? EvpAead.tryOpen(arena)! : new NodeAead(arena));
        const world = new World({ workers, memory: { arena, aead } });
        const { a, b } = world.neighbours();
        a.send(b);
        world.settle();
        t.is(b.received.length, 1);
        t.is(aead.live.size, schedules);
        if (kind === 'node:crypto') t.is(made.left().length, schedules, 'node:crypto wants the key for each frame');
        end(world, a, b);
        world.settle();
        t.is(aead.live.size, sessions * schedules);
        // What keys are made from is zeroed at once, here as on the way to EVP.
        t.deepEqual(new Set(aead.given.map(String)), new Set([String(new Uint8Array(32))]));
        t.is(made.left().length, kind === 'EVP' ? 0 : sessions * schedules);
      });
    });
  }
}
