import type { Millis } from '../../src/time.js';
import { carrier, home, host, type Internet } from '../description.js';
import type { Host } from '../machines.js';
import { median } from '../median.js';
import { duration, type Narrator } from '../narrator.js';
import { allPairsPing, network, pairState } from '../network.js';
import { type Classification, classify } from '../prober.js';
import { table } from '../table.js';
import { World } from '../world.js';

/** Where a machine may stand. */
const places = [
  'public',
  'upnp-home',
  'endpoint-independent',
  'address-restricted',
  'port-restricted',
  'symmetric',
  'double-nat',
  'udp-blocked',
] as const;
export type Place = (typeof places)[number];
export type Way = 'direct' | 'relayed';

/**
 * Where two machines may stand that share more than the Internet: one LAN, or two homes with equal LANs behind one carrier's
 * NAT, which sends back in what its customers send to its outer address (RFC 4787 §6), or does not.
 */
export type Shared = 'same-lan' | 'one-carrier' | 'hairpin-carrier';

/** One meeting of two machines: `a` is a member already when `b` joins. */
export interface Meeting {
  readonly a: Place | Shared;
  readonly b: Place | Shared;
  readonly expected: Way;
}

export interface Met extends Meeting {
  readonly got: Way | 'unreachable';
  /** From the second one's join until they reached each other by ping, over whatever way. */
  readonly connected: Millis;
  /** From the second one's join to the best state that was reached, on both sides. */
  readonly took: Millis;
  /** `weft why`, and what `weft peers` has as the reason. */
  readonly said: string;
  readonly why: string;
  /** Datagrams that others on the two LANs were sent who have the address that the far one has on its own. */
  readonly strays: number;
}

/**
 * What theory allows, written before any result; rows and columns as in `places`. A port-restricted NAT lets in only
 * endpoints it spoke to, and a symmetric one speaks to each from a port that nobody can know before: these two, and two
 * symmetric ones, need a relay. A double NAT is as strict as the stricter of its two (here port-restricted behind
 * endpoint-independent). Who may not use UDP reaches by TCP public machines, and those whose router maps a port for them;
 * and all others through these.
 */
const expectations = `
  public                direct direct direct direct direct  direct  direct  direct
  upnp-home             direct direct direct direct direct  direct  direct  direct
  endpoint-independent  direct direct direct direct direct  direct  direct  relayed
  address-restricted    direct direct direct direct direct  direct  direct  relayed
  port-restricted       direct direct direct direct direct  relayed direct  relayed
  symmetric             direct direct direct direct relayed relayed relayed relayed
  double-nat            direct direct direct direct direct  relayed direct  relayed
  udp-blocked           direct direct relayed relayed relayed relayed relayed relayed`
  .trim()
  .split('\n')
  .map((row) => row.trim().split(/ +/).slice(1) as Way[]);

/**
 * Behind one carrier each is known by the carrier's address alone, and the private one that both have is no way either: so
 * they need the carrier to send back in, or a relay.
 */
const sharedExpectations: Readonly<Record<Shared, Way>> = {
  'same-lan': 'direct',
  'one-carrier': 'relayed',
  'hairpin-carrier': 'direct',
};

const shares = Object.keys(sharedExpectations) as Shared[];

function isShared(where: Place | Shared): where is Shared {
  return where in sharedExpectations;
}

/** The meeting of two that share this. */
export function meetingWithin(shared: Shared): Meeting {
  return { a: shared, b: shared, expected: sharedExpectations[shared] };
}

/** The meeting of a newcomer at `b` with who is at `a`. */
export function meetingOf(a: Place, b: Place): Meeting {
  return { a, b, expected: expectations[places.indexOf(a)]![places.indexOf(b)]! };
}

/** Every pair, each once, and those that share something. */
export function allMeetings(): Meeting[] {
  const pairs = places.flatMap((a, i) => places.slice(i).map((b) => meetingOf(a, b)));
  return [...pairs, ...shares.map(meetingWithin)];
}

/** Machines that have, on their LAN, the address that the far one has on its own. */
const bystanders = ['left-other', 'right-other'];

function describeShared(shared: Shared): Internet {
  if (shared === 'same-lan') return { home: home({ members: ['left', 'right'] }) };
  return {
    isp: carrier({ nat: 'endpoint-independent', hairpin: shared === 'hairpin-carrier' }),
    'left-home': home({ behind: 'isp', members: ['left', 'left-other'] }),
    'right-home': home({ behind: 'isp', members: ['right-other', 'right'] }),
  };
}

function describe(name: string, place: Place): Internet {
  switch (place) {
    case 'public':
      return { [name]: host() };
    case 'upnp-home':
      return { [name]: home({ mapping: ['igd2', 'nat-pmp'] }) };
    case 'double-nat':
      return { [`${name}-isp`]: carrier({ nat: 'endpoint-independent' }), [name]: home({ behind: `${name}-isp` }) };
    default:
      return { [name]: home({ nat: place }) };
  }
}

const [independent, byAddress, byPort] = [
  'endpoint-independent',
  'address-dependent',
  'address-and-port-dependent',
] as const;

/** What each place's NAT is in the words of RFC 4787, from the meaning of its name: mapping, then filtering. */
const labels: Readonly<Partial<Record<Place, Partial<Classification>>>> = {
  'upnp-home': { blocked: false, mapping: independent, filtering: byPort },
  'endpoint-independent': { blocked: false, mapping: independent, filtering: independent },
  'address-restricted': { blocked: false, mapping: independent, filtering: byAddress },
  'port-restricted': { blocked: false, mapping: independent, filtering: byPort },
  symmetric: { blocked: false, mapping: byPort, filtering: byPort },
  'double-nat': { blocked: false, mapping: independent, filtering: byPort },
  'udp-blocked': { blocked: true },
};

/**
 * Has every kind of router classified by plain sockets that know nothing of weft; true when each is what its name says.
 */
export async function classifyPlaces(tell: Narrator): Promise<boolean> {
  const scene = Object.assign({}, ...places.map((place, i) => describe(`place-${i}`, place)));
  const world = await World.build({ 'dc-1': host(), 'dc-2': host(), ...scene });
  try {
    let allRight = true;
    for (const [i, place] of places.entries()) {
      const label = labels[place];
      if (!label) continue;
      const seen = await classify(world.host(`place-${i}`), world.host('dc-1'), world.host('dc-2'));
      const isRight = Object.entries(label).every(([key, value]) => seen[key as keyof Classification] === value);
      allRight &&= isRight;
      const text = seen.blocked ? 'UDP blocked' : `mapping ${seen.mapping}, filtering ${seen.filtering}`;
      if (isRight) tell.good(`${place}: ${text}`);
      else tell.bad(`${place}: ${text}, which is not what its name says`);
    }
    return allRight;
  } finally {
    world.remove();
  }
}

/** How long a meeting that should become direct may take, and how long one that should not is watched. */
const patience: Millis = 15_000;
const watched: Millis = 6000;

/** Builds an Internet of two data centres and the two places, founds a network, and sees how the two get together. */
export async function meet({ a, b, expected }: Meeting): Promise<Met> {
  const scene =
    isShared(a) || isShared(b) ? describeShared(a as Shared) : { ...describe('left', a), ...describe('right', b) };
  const world = await World.build({ 'dc-1': host(), 'dc-2': host(), ...scene }, { cold: true });
  const others = world.hosts().filter(({ name }) => bystanders.includes(name));
  try {
    for (const { namespace } of others) await namespace.nft(countStrays);
    const [left, right] = [world.node('left'), world.node('right')];
    await Promise.all([network(world, ['dc-1', 'dc-2', 'left']), right.start()]);
    const token = await world.node('dc-1').invite();
    await right.join(token);
    const joined = performance.now();
    let got: Met['got'] = 'unreachable';
    let connected = 0;
    let took = 0;
    try {
      await pairState(left, right, 'connected', patience);
      await allPairsPing([left, right], patience);
      got = 'relayed';
      connected = took = performance.now() - joined;
      await pairState(left, right, 'direct', expected === 'direct' ? patience : watched);
      got = 'direct';
      took = performance.now() - joined;
      await allPairsPing([left, right], patience);
    } catch (error) {
      if (got === 'unreachable' || got === 'direct') throw error;
    }
    const peer = await right.peer('left');
    const said = (await right.run('why', 'left')).stdout;
    const why = peer?.lastError ?? (peer?.via ? `via ${peer.via}` : '');
    const strays = await Promise.all(others.map(straysAt));
    return { a, b, expected, got, connected, took, said, why, strays: strays.reduce((sum, count) => sum + count, 0) };
  } finally {
    world.remove();
  }
}

/** What comes to a machine's own address at the port of the daemons; beacons go to a group. */
const countStrays = `
table inet strays {
  counter seen {}
  chain in {
    type filter hook prerouting priority raw; policy accept;
    fib daddr type local udp dport 16696 counter name seen
  }
}
`;

async function straysAt({ namespace }: Host): Promise<number> {
  const text = await namespace.must(['nft', 'list', 'counter', 'inet', 'strays', 'seen']);
  return Number(/packets (\d+)/.exec(text)![1]);
}

/** How soon any two reach each other, and have a direct tunnel where theory allows one. */
const soon: Millis = 3000;

/** What a meeting may send to machines that have nothing to do with it: of each side two dials of ten datagrams and five punches. */
const mostStrays = 2 * (2 * 10 + 5);

/** A meeting is as good as theory allows, and soon; better is no fault, however late. */
export function isAsExpected({ expected, got, connected, took, strays }: Met): boolean {
  if (got === 'unreachable' || connected >= soon || strays > mostStrays) return false;
  return expected === 'relayed' || (got === 'direct' && took < soon);
}

/**
 * Meetings at one time, each in an Internet of its own: most of a meeting is waiting, and four daemons start for each.
 */
const atOnce = 2;

/**
 * Runs each of these meetings so many times, every second time the other way round, so that the newcomer stands where the
 * other one stood; gives them all.
 */
export async function natMatrix(tell: Narrator, meetings: readonly Meeting[], rounds = 1): Promise<Met[]> {
  const turned = meetings.map(({ a, b, expected }) => ({ a: b, b: a, expected }));
  const waiting = Array.from({ length: rounds }, (_, i) => (i % 2 === 0 ? meetings : turned)).flat();
  const results: Met[] = [];
  const goOn = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) results.push(await tryToMeet(tell, next));
  };
  await Promise.all(Array.from({ length: atOnce }, goOn));
  return results;
}

async function tryToMeet(tell: Narrator, meeting: Meeting): Promise<Met> {
  const title = `${meeting.a}, joined by ${meeting.b}`;
  try {
    const met = await meet(meeting);
    const strays = met.strays > 0 ? `; ${met.strays} datagrams to others` : '';
    const text = `${title}: ${met.got} after ${duration(met.took)}${met.why && `, ${met.why}`}${strays}`;
    if (isAsExpected(met)) tell.good(text);
    else tell.bad(`${text}; expected ${met.expected}`);
    return met;
  } catch (error) {
    tell.bad(`${title}: ${error instanceof Error ? error.message : String(error)}`);
    return {
      ...meeting,
      got: 'unreachable',
      connected: 0,
      took: 0,
      said: '',
      why: String(error).split('\n')[0]!,
      strays: 0,
    };
  }
}

/**
 * The whole matrix as text, a row for who is there already and a column for who joins: what was seen, how fast and, met more
 * than once, how slow at worst; and what was expected where that differs.
 */
export function matrixTable(results: readonly Met[]): string {
  const found = (a: string, b: string) => results.filter((met) => met.a === a && met.b === b);
  const within = shares.flatMap((shared) => {
    const cell = cellOf(found(shared, shared));
    return cell ? [`${shared}: ${cell}`] : [];
  });
  return [
    table(
      ['there ↓, joins →', ...places],
      places.map((a) => [a, ...places.map((b) => cellOf(found(a, b)))]),
    ),
    ...within,
  ].join('\n');
}

/** Of the meetings of one pair in one order: of each outcome how often, where there are several, the median and the slowest. */
function cellOf(meetings: readonly Met[]): string {
  const outcomes = [...new Set(meetings.map(({ got }) => got))];
  return outcomes
    .map((got) => {
      const same = meetings.filter((met) => met.got === got);
      const took = same.map((met) => met.took);
      const usual = duration(median(took));
      const times = took.length > 1 ? `${usual}, slowest ${duration(Math.max(...took))}` : usual;
      const [{ expected }] = same as [Met];
      const often = outcomes.length > 1 ? `${same.length} of ${meetings.length}: ` : '';
      return `${often}${got} ${times}${got === expected ? '' : ` (expected ${expected})`}`;
    })
    .join('; ');
}
