/** A packet that begins a connection, as far as rules are asked about it; what is absent may be anything. */
export interface Packet {
  readonly family: 'ip' | 'ip6';
  readonly iifname?: string | undefined;
  readonly oifname?: string | undefined;
  readonly l4proto?: string;
  readonly sport?: number;
  readonly dport?: number;
}

export interface Chain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  /** Of base chains, which the kernel asks; others are only jumped to. */
  readonly hook?: string;
  readonly policy?: string;
}

/** Where the kernel asks its chains about a packet. */
export type Hook = 'input' | 'forward' | 'output';

/** unclear: a rule decides by something that is not known here, such as addresses or a named set. */
export type Verdict = 'passes' | 'dropped' | 'unclear';

type Expression = Readonly<Record<string, unknown>>;
interface Rule {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  readonly expr: readonly Expression[];
}
type Answer = 'yes' | 'no' | 'maybe';
/** How a rule or a chain ends for a packet; `next`: not here, `return`: not in this chain. */
type Way = 'accept' | 'drop' | 'next' | 'return';
interface End {
  /** Where nothing that may match does. */
  readonly usual: Way;
  readonly possible: ReadonlySet<Way>;
}

/** Chains that jump in circles are refused by the kernel; this is for a listing that was torn. */
const deepest = 16;

/** The rules of nftables, as `nft -j list ruleset` prints them (libnftables-json(5)); iptables' are there too on current systems. */
export class PacketFilter {
  readonly chains: readonly Chain[];
  readonly #rules: readonly Rule[];

  constructor(chains: readonly Chain[], rules: readonly Rule[]) {
    this.chains = chains;
    this.#rules = rules;
  }

  static parse(json: string): PacketFilter {
    const { nftables } = JSON.parse(json) as {
      readonly nftables: readonly { readonly chain?: Chain; readonly rule?: Rule }[];
    };
    return new PacketFilter(
      nftables.flatMap(({ chain }) => chain ?? []),
      nftables.flatMap(({ rule }) => rule ?? []),
    );
  }

  /** The base chains of a hook that would see this packet, and what each makes of it: it must pass them all. */
  judge(hook: Hook, packet: Packet): { readonly chain: Chain; readonly verdict: Verdict }[] {
    return this.chains
      .filter((chain) => chain.hook === hook && (chain.family === 'inet' || chain.family === packet.family))
      .map((chain) => ({ chain, verdict: this.#verdict(chain, packet) }));
  }

  /** What they make of it together. */
  outcome(hook: Hook, packet: Packet): Verdict {
    const verdicts = this.judge(hook, packet).map(({ verdict }) => verdict);
    if (verdicts.includes('dropped')) return 'dropped';
    return verdicts.includes('unclear') ? 'unclear' : 'passes';
  }

  /** Whether the table of this chain has one of that name too. */
  hasBeside(chain: Chain, name: string): boolean {
    return this.chains.some((one) => one.family === chain.family && one.table === chain.table && one.name === name);
  }

  #verdict(chain: Chain, packet: Packet): Verdict {
    const { usual, possible } = this.#walk(chain, packet, 0);
    const passes = (way: Way) => way === 'accept' || (way === 'next' && chain.policy !== 'drop');
    if (passes(usual)) return 'passes';
    return [...possible].some(passes) ? 'unclear' : 'dropped';
  }

  /**
   * Rules that may match and drop are passed over: they are for what is odd, such as invalid packets or single addresses. Those
   * that may match and let it go elsewhere count: the end is unclear, if the packet is dropped otherwise and not there.
   */
  #walk(chain: Chain, packet: Packet, depth: number): End {
    let usual: Way | undefined;
    const possible = new Set<Way>();
    for (const rule of this.#rules) {
      if (rule.family !== chain.family || rule.table !== chain.table || rule.chain !== chain.name) continue;
      const matches = all(rule.expr.map((expression) => answer(expression, packet)));
      if (matches === 'no') continue;
      const end = this.#does(rule.expr, chain, packet, depth);
      for (const way of end.possible) if (way !== 'next') possible.add(left(way));
      if (matches === 'maybe') continue;
      if (end.usual !== 'next') usual ??= left(end.usual);
      if (!end.possible.has('next')) return { usual: usual ?? 'next', possible };
    }
    return { usual: usual ?? 'next', possible: possible.add('next') };
  }

  #does(statements: readonly Expression[], chain: Chain, packet: Packet, depth: number): End {
    for (const statement of statements) {
      if ('accept' in statement) return surely('accept');
      if ('drop' in statement || 'reject' in statement) return surely('drop');
      if ('return' in statement) return surely('return');
      const { vmap } = statement as { readonly vmap?: VerdictMap };
      if (vmap) return this.#choose(vmap, chain, packet, depth);
      const { target } = (statement.jump ?? statement.goto ?? {}) as { readonly target?: string };
      if (target !== undefined && depth < deepest) {
        const end = this.#walk({ ...chain, name: target }, packet, depth + 1);
        return 'goto' in statement ? gone(end) : end;
      }
    }
    return statements.some(mayDecide) ? anything : surely('next');
  }

  /** Of a map from values to verdicts the one that fits; a named map, or a key that is not known here, may hold any. */
  #choose({ key, data }: VerdictMap, chain: Chain, packet: Packet, depth: number): End {
    if (typeof data === 'string' || !data.set) return anything;
    const possible = new Set<Way>();
    // What is for all others comes last, wherever it is listed.
    const isForAll = ([value]: readonly [unknown, Expression]) => value === '*';
    for (const [value, verdict] of [...data.set.filter((one) => !isForAll(one)), ...data.set.filter(isForAll)]) {
      const fits = value === '*' ? 'yes' : has(key, value, packet);
      if (fits === 'no') continue;
      const end = this.#does([verdict], chain, packet, depth);
      for (const way of end.possible) possible.add(way);
      if (fits === 'yes') return { usual: end.usual, possible };
    }
    return { usual: 'next', possible: possible.add('next') };
  }
}

function surely(way: Way): End {
  return { usual: way, possible: new Set([way]) };
}

/** Nothing is known of what decides here. */
const anything: End = { usual: 'next', possible: new Set(['accept', 'drop', 'return', 'next']) };

/** As the end of a chain looks from where it was jumped to. */
function left(way: Way): Way {
  return way === 'return' ? 'next' : way;
}

/** The same of a chain that was gone to for good: what does not end there, ends in the one that sent it. */
function gone({ usual, possible }: End): End {
  const back = (way: Way): Way => (way === 'next' ? 'return' : way);
  return { usual: back(usual), possible: new Set([...possible].map(back)) };
}

function all(answers: readonly Answer[]): Answer {
  if (answers.includes('no')) return 'no';
  return answers.includes('maybe') ? 'maybe' : 'yes';
}

/** Statements that match everything; what a verdict map matches is seen where it is followed. */
const neutral = new Set([
  'accept',
  'drop',
  'reject',
  'jump',
  'goto',
  'return',
  'vmap',
  'counter',
  'log',
  'comment',
  'mangle',
  'set',
]);

function answer(expression: Expression, packet: Packet): Answer {
  const { match } = expression as { readonly match?: Match };
  if (match) return matchAnswer(match, packet);
  return Object.keys(expression).every((name) => neutral.has(name)) ? 'yes' : 'maybe';
}

/** Statements that decide nothing by themselves: whether the rule goes on, or what becomes of the packet if it passes. */
const undeciding = new Set([...neutral, 'match', 'limit', 'quota', 'ct count', 'flow', 'notrack', 'ct helper', 'last']);
/** The same of targets that iptables has and nftables has not. */
const undecidingTargets = new Set(['LOG', 'NFLOG', 'MARK', 'CONNMARK', 'TCPMSS', 'CT', 'SET', 'AUDIT']);

/** Such as a queue to a program, which may let the packet in. */
function mayDecide(statement: Expression): boolean {
  const { xt } = statement as { readonly xt?: { readonly type?: string; readonly name?: string } };
  if (xt) return xt.type === 'target' && !undecidingTargets.has(xt.name ?? '');
  return !Object.keys(statement).every((name) => undeciding.has(name));
}

type Key = Readonly<Record<string, { readonly key?: string; readonly protocol?: string; readonly field?: string }>>;

interface Match {
  readonly op: string;
  readonly left: Key;
  readonly right: unknown;
}

interface VerdictMap {
  readonly key: Key;
  /** A string: a map with a name. */
  readonly data: string | { readonly set?: readonly (readonly [unknown, Expression])[] };
}

function matchAnswer({ op, left, right }: Match, packet: Packet): Answer {
  return isOfOther(left, packet) ? 'no' : turned(op, has(left, right, packet));
}

/** Whether what the key stands for is this, or among these, in our packet. */
function has(key: Key, right: unknown, packet: Packet): Answer {
  if (isOfOther(key, packet)) return 'no';
  const value = valueIn(key, packet);
  return value === undefined ? 'maybe' : isIn(value, right);
}

/** What the key stands for in our packet; undefined: not known. */
function valueIn({ meta, payload, ct }: Key, packet: Packet): string | number | undefined {
  if (ct?.key === 'state') return 'new';
  return meta ? metaOf(meta.key, packet) : fieldOf(payload?.field, packet);
}

/** Headers that a packet has one of, by the names nftables has for them in payload expressions. */
const transports = new Set(['tcp', 'udp', 'udplite', 'sctp', 'dccp', 'icmp', 'icmpv6', 'igmp', 'esp', 'ah', 'comp']);
const families = new Set(['ip', 'ip6', 'arp']);

/** A port of TCP is no port of UDP, and an IPv4 address none of an IPv6 packet. */
function isOfOther({ payload }: Key, { family, l4proto }: Packet): boolean {
  const protocol = payload?.protocol ?? '';
  if (families.has(protocol)) return protocol !== family;
  return l4proto !== undefined && transports.has(protocol) && protocol !== l4proto;
}

function metaOf(key: string | undefined, packet: Packet): string | undefined {
  switch (key) {
    case 'iif':
    case 'iifname':
      return packet.iifname;
    case 'oif':
    case 'oifname':
      return packet.oifname;
    case 'l4proto':
      return packet.l4proto;
    case 'nfproto':
      return packet.family === 'ip' ? 'ipv4' : 'ipv6';
    default:
      return undefined;
  }
}

function fieldOf(field: string | undefined, { sport, dport, l4proto }: Packet): string | number | undefined {
  switch (field) {
    case 'sport':
      return sport;
    case 'dport':
      return dport;
    case 'protocol':
    case 'nexthdr':
      return l4proto;
    default:
      return undefined;
  }
}

function turned(op: string, is: Answer): Answer {
  if (op !== '!=' || is === 'maybe') return op === '==' || op === 'in' || op === '!=' ? is : 'maybe';
  return is === 'yes' ? 'no' : 'yes';
}

function isIn(value: string | number, right: unknown): Answer {
  if (Array.isArray(right)) return any(right.map((item) => isIn(value, item)));
  if (typeof right === 'number') return value === right ? 'yes' : 'no';
  if (typeof right === 'string') {
    if (right.startsWith('@')) return 'maybe';
    if (right.endsWith('*')) return String(value).startsWith(right.slice(0, -1)) ? 'yes' : 'no';
    return value === right ? 'yes' : 'no';
  }
  const { set, range } = (right ?? {}) as { readonly set?: unknown; readonly range?: readonly unknown[] };
  if (set !== undefined) return isIn(value, Array.isArray(set) ? set : [set]);
  const [low, high] = range ?? [];
  if (typeof value !== 'number' || typeof low !== 'number' || typeof high !== 'number') return 'maybe';
  return value >= low && value <= high ? 'yes' : 'no';
}

function any(answers: readonly Answer[]): Answer {
  if (answers.includes('yes')) return 'yes';
  return answers.includes('maybe') ? 'maybe' : 'no';
}
