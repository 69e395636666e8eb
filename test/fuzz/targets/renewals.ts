import { concatBytes } from '../../../src/bytes.js';
import { AgreementKey } from '../../../src/crypto.js';
import { appendMacs, datagramMacLength, datagramMacsLength } from '../../../src/datagram-mac.js';
import { NoiseInitiator, NoiseResponder } from '../../../src/noise.js';
import type { Random } from '../../../src/random.js';
import { second } from '../../../src/time.js';
import { ControlChannel, FrameType } from '../../../src/tunnel/frame.js';
import { maxLanes, prologueOf } from '../../../src/tunnel/handshake.js';
import type { LinkId, PlaneEvent } from '../../../src/tunnel/plane/contract.js';
import type { Parcel } from '../../tunnel/plane-stand-in.js';
import { chainOf, type Effect, isHandshakeInside, type Machine, World } from '../../tunnel/world.js';
import { promise, type Target } from '../target.js';

/**
 * What a member may send on control channel 4, in every state that it can bring about.
 *
 *     input = beginning ‖ steps      beginning: 1 octet; bit 0 the member dialled, bit 1 over the overlay
 *     step  = what u8 ‖ length u8 ‖ text
 *
 * The hellos of its handshakes are the right ones with the text laid over them (exclusive or), so a step without a text is
 * what an honest member sends.
 */
const steps = [
  'octets',
  'octets, their macs right',
  'initiation',
  'initiation, laid over its macs',
  'initiation of another member',
  'answer',
  'again',
  'overheard',
  'time',
  'loss',
  'silence',
  'dial elsewhere',
  'another start',
  'worn',
  'revocation',
] as const;
type Step = (typeof steps)[number];

const prologue = prologueOf(new Uint8Array(32).fill(7));
const initiationHello = 1068;
const mostSteps = 16;

/** The sequence of steps as octets; a text is one of octets, or zeros but for some. */
function script(beginning: number, ...told: (Step | readonly [Step, ...number[]])[]): Uint8Array {
  const parts = told.map((step) => {
    const [what, ...text] = typeof step === 'string' ? [step] : step;
    return Uint8Array.of(steps.indexOf(what), text.length, ...text);
  });
  return concatBytes(Uint8Array.of(beginning), ...parts);
}

function laidOver(text: Uint8Array, bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(bytes);
  for (let i = 0; i < Math.min(text.length, out.length); i++) out[i]! ^= text[i]!;
  return out;
}

/** What a handshake said that the member made, and whether it may bring new keys. */
interface Said {
  readonly bytes: Uint8Array;
  readonly isFair: boolean;
}

/** A node, the member that attacks it inside their session, and others of whom that may know and change nothing. */
class Scene {
  readonly #world: World;
  readonly #victim: Machine;
  readonly #member: Machine;
  readonly #friend: Machine;
  readonly #link: LinkId;
  readonly #began: number;
  #looked = 0;
  #counter = 1000;
  /** The last initiation of the victim to the member. */
  #asked: Uint8Array | undefined;
  #overheard: Uint8Array = new Uint8Array(0);
  #last: Said | undefined;
  #isLossy = false;
  #isSilent = false;
  #copy: Machine | undefined;

  constructor(random: Random, beginning: number) {
    this.#world = new World(random.below(2 ** 31));
    const [victim, member, friend, stranger] = [1, 2, 3, 4].map((node) => this.#world.machine(node).start()) as [
      Machine,
      Machine,
      Machine,
      Machine,
    ];
    [this.#victim, this.#member, this.#friend] = [victim, member, friend];
    this.#world.tap = (from, to, parcel) => {
      if (from === stranger) {
        // It asks and is never heard of again: an answer of ours that waits to be confirmed.
        if (parcel.kind !== 'datagram' || parcel.bytes[0] !== FrameType.initiation) return undefined;
        this.#overheard = parcel.bytes;
        return parcel;
      }
      const isBetween = from === victim ? this.#leadsToMember(to) : from === member;
      if (!isBetween) return parcel;
      const handshake = handshakeIn(parcel);
      if (from === victim && handshake?.[0] === FrameType.initiation) this.#asked = handshake;
      return handshake && this.#isLossy ? undefined : parcel;
    };
    // What we answer leaves when our workers hold the keys, so not with what was said.
    this.#world.watch = (machine, event, effects) => {
      if (machine !== victim || event.kind !== 'plane' || event.event.kind !== 'installed') return;
      const { link, localIndex } = event.event;
      const install = victim.plane.installs.find((one) => one.localIndex === localIndex);
      if (link === this.#link && install?.role === 'responder') for (const effect of effects) this.#judge(effect);
    };
    const [from, to] = beginning & 1 ? [member, victim] : [victim, member];
    from.dial(to, beginning & 2 ? 'overlay' : [to.endpoint]);
    friend.dial(victim);
    this.#world.run(second);
    stranger.dial(victim);
    this.#world.run(50);
    this.#link = victim.peers.reach(member.node)!.link;
    this.#began = this.#world.now;
  }

  #leadsToMember(to: Parameters<World['tap']>[1]): boolean {
    return to.kind === 'overlay'
      ? to.node === this.#member.node
      : to.endpoint.address === this.#member.endpoint.address || to.endpoint.address.startsWith('203.');
  }

  take(what: Step, text: Uint8Array): void {
    const world = this.#world;
    switch (what) {
      case 'octets':
        this.#say({ bytes: text, isFair: false });
        break;
      case 'octets, their macs right':
        this.#say({ bytes: appendMacs(this.#victim.key.publicKey, text), isFair: false });
        break;
      case 'initiation':
        this.#say(this.#initiation(text, this.#member));
        break;
      case 'initiation, laid over its macs': {
        const { bytes } = this.#initiation(new Uint8Array(0), this.#member);
        const macs = laidOver(text, bytes.subarray(-datagramMacsLength));
        bytes.set(macs, bytes.length - datagramMacsLength);
        // mac2 means nothing here.
        this.#say({ bytes, isFair: text.subarray(0, datagramMacLength).every((octet) => octet === 0) });
        break;
      }
      case 'initiation of another member':
        this.#say({ ...this.#initiation(text, this.#friend), isFair: false });
        break;
      case 'answer': {
        const said = this.#answer(text);
        if (said) this.#say(said);
        break;
      }
      case 'again':
        // From its end; a changed one may only bring new keys where all that differs is mac2.
        if (this.#last) {
          const bytes = laidOver(text, this.#last.bytes.slice().reverse()).reverse();
          const isSame = text.subarray(datagramMacLength).every((octet) => octet === 0);
          this.#say({ bytes, isFair: isSame && this.#last.isFair });
        }
        break;
      case 'overheard':
        this.#say({ bytes: laidOver(text, this.#overheard), isFair: false });
        break;
      case 'time':
        world.run((text[0] ?? 1) * second);
        break;
      case 'loss':
        this.#isLossy = !this.#isLossy;
        break;
      case 'silence':
        // Beside another start it would be the end of the first, whose incarnation the promises are about.
        if (this.#copy || this.#isSilent) break;
        this.#isSilent = true;
        this.#do({ kind: 'silent', link: this.#link });
        break;
      case 'dial elsewhere':
        this.#victim.dial(this.#member, [{ address: '203.0.113.7', port: 7 }]);
        break;
      case 'another start':
        if (this.#copy || this.#isSilent) break;
        this.#copy = world.cloneOf(this.#member, 77).start();
        this.#copy.dial(this.#victim);
        world.run(15);
        break;
      case 'worn':
        for (const { localIndex } of this.#victim.plane.installs)
          this.#do({ kind: 'worn', link: this.#link, localIndex });
        break;
      case 'revocation':
        world.revoked.add(Buffer.from(this.#member.key.publicKey).toString('hex'));
        break;
    }
  }

  end(): void {
    promise(this.#victim.standing(this.#friend) === 'tunnel', 'what a member says in its session ends no other tunnel');
    promise(this.#victim.told('cloned').length === 0 || this.#copy !== undefined, 'it makes nobody a clone');
  }

  #do(event: PlaneEvent): void {
    this.#victim.do({ kind: 'plane', event });
  }

  #say(said: Said): void {
    this.#last = said;
    const { installs } = this.#victim.plane;
    const before = installs.length;
    const bytes = concatBytes(Uint8Array.of(ControlChannel.handshake), said.bytes);
    const event = { kind: 'control', link: this.#link, bytes, receivedAt: this.#world.now } as const;
    const isOver = !this.#victim.plane.links.has(this.#link);
    const effects = this.#victim.peers.handle({ kind: 'plane', event }, this.#world.now);
    promise(!isOver || effects.length === 0, 'what comes late, of a link that is closed, is nobody’s');
    for (const effect of effects) this.#judge(effect);
    const refusals = effects.flatMap((effect) => (effect.kind === 'refused' ? [effect.reason] : []));
    if (!isOver && !refusals.some((reason) => reason.startsWith('too many'))) this.#looked++;
    const most = 8 + (this.#world.now - this.#began) / second;
    promise(this.#looked <= most, 'eight are looked at, and one more a second');
    this.#victim.apply(effects);
    promise(installs.length <= before + 1, 'one handshake brings one pair of keys');
    promise(said.isFair || installs.length === before, 'only its own two ends renew a session, and only its own start');
    promise(refusals.length === 0 || installs.length === before, 'what is refused changes no keys');
    this.#world.run(1);
  }

  /** What a handshake in a session may bring about at most. */
  #judge(effect: Effect): void {
    switch (effect.kind) {
      case 'refused':
      case 'observed':
        break;
      case 'dialFailed':
        promise(effect.node === this.#member.node, 'a dial of another node goes on');
        break;
      case 'plane': {
        const { command } = effect;
        const isAllowed =
          (command.kind === 'installSession' && command.session.link === this.#link) ||
          ((command.kind === 'dropSession' || command.kind === 'sendControl') && command.link === this.#link);
        promise(isAllowed, `a handshake in a session is answered in it and moves nothing: ${command.kind}`);
        break;
      }
      default:
        promise(false, `a handshake in a session brings ${effect.kind}`);
    }
  }

  #initiation(text: Uint8Array, by: Machine): Said {
    const { plain, isFair } = this.#hello(text, by, ++this.#counter, initiationHello);
    const ephemeral = AgreementKey.ephemeral(this.#world.random);
    const noise = new NoiseInitiator('IK', prologue, by.key, ephemeral, this.#victim.key.publicKey);
    const body = concatBytes(Uint8Array.of(FrameType.initiation, 0, 0, 0), noise.writeInitiation(plain)!);
    return { bytes: appendMacs(this.#victim.key.publicKey, body), isFair };
  }

  /** Undefined while nothing was asked. */
  #answer(text: Uint8Array): Said | undefined {
    if (!this.#asked) return undefined;
    const noise = new NoiseResponder('IK', prologue, this.#member.key);
    const read = noise.readInitiation(this.#asked.subarray(4, this.#asked.length - datagramMacsLength))!;
    const index = read.payload.subarray(16, 20);
    const { plain, isFair } = this.#hello(text, this.#member, 0, 38 + chainOf(this.#member.node).length);
    const message = noise.writeResponse(plain, AgreementKey.ephemeral(this.#world.random))!;
    const body = concatBytes(Uint8Array.of(FrameType.response, 0, 0, 0), index, message);
    return { bytes: appendMacs(this.#victim.key.publicKey, body), isFair };
  }

  #hello(text: Uint8Array, by: Machine, counter: number, length: number): { plain: Uint8Array; isFair: boolean } {
    const chain = chainOf(by.node);
    const right = new Uint8Array(length);
    const view = new DataView(right.buffer);
    right[1] = 1;
    view.setUint16(2, chain.length);
    view.setBigUint64(4, this.#member.incarnation);
    view.setUint32(12, counter);
    view.setUint32(16, 8 * counter);
    right.set(chain, 38);
    const plain = laidOver(text, right);
    const same = (from: number, to: number) => plain.subarray(from, to).every((octet, i) => octet === right[from + i]);
    // Its start, its certificate and what makes a hello well-formed; all else of it is the member's to say.
    const isWhole = plain[1]! >= 1 && plain[1]! <= maxLanes && 38 + new DataView(plain.buffer).getUint16(2) <= length;
    return { plain, isFair: isWhole && same(4, 12) && same(38, 42) };
  }
}

/** The handshake that goes here, alone or in a session. */
function handshakeIn(parcel: Parcel): Uint8Array | undefined {
  if (parcel.kind === 'datagram') return parcel.bytes;
  if (!isHandshakeInside(parcel)) return undefined;
  return 'control' in parcel.content ? parcel.content.control.subarray(1) : undefined;
}

const otherStart = [0, 0, 0, 0, 1] as const;

export const renewals: Target = {
  name: 'renewals',
  files: [
    'tunnel/peers.js',
    'tunnel/peer.js',
    'tunnel/asking.js',
    'tunnel/attempt.js',
    'tunnel/given-answers.js',
    'tunnel/seen-counters.js',
    'tunnel/session-list.js',
  ],
  seeds: [
    ...[0, 1, 2, 3].flatMap((beginning) => [
      script(beginning, 'initiation', 'again', ['time', 1], 'initiation', ['again', 1], 'again'),
      script(beginning, ['initiation', ...otherStart], 'initiation', ['again', ...new Array(16).fill(0), 1]),
      script(beginning, 'loss', ['time', 140], 'answer', 'again', 'answer', 'initiation'),
      script(beginning, 'loss', ['time', 140], ['answer', ...otherStart], 'answer', ['time', 9], 'answer'),
      script(beginning, 'silence', 'initiation', ['initiation', ...otherStart], 'initiation'),
      script(beginning, 'loss', ['time', 179], 'initiation', ['time', 9], 'initiation', 'answer'),
    ]),
    script(0, 'another start', ['initiation', ...otherStart], 'initiation', ['time', 2], 'initiation'),
    script(0, 'dial elsewhere', 'answer', 'initiation', 'answer'),
    script(1, 'worn', 'answer', 'answer', 'initiation', 'worn', 'answer'),
    script(0, ['initiation, laid over its macs', 1], 'initiation, laid over its macs'),
    script(0, ['initiation', 0, 0, 0xff], ['initiation', 0, 9], ['initiation', 0, 1], ['initiation', 1, 0, 1]),
    script(0, 'overheard', ['overheard', 1], 'initiation of another member'),
    script(1, 'initiation', 'revocation', 'initiation', 'again', 'answer'),
    script(
      1,
      ['octets', 1, 2, 3],
      ['octets, their macs right', 1],
      ['octets, their macs right', 2, 0, 0, 0, 0, 0, 0, 0],
    ),
    script(0, ...new Array<Step>(12).fill('initiation')),
  ],
  make: (random) => (input) => {
    const scene = new Scene(random, input[0] ?? 0);
    let at = 1;
    for (let i = 0; i < mostSteps && at < input.length; i++) {
      const length = input[at + 1] ?? 0;
      scene.take(steps[input[at]! % steps.length]!, input.subarray(at + 2, at + 2 + length));
      at += 2 + length;
    }
    scene.end();
  },
};
