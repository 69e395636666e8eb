import type { DoctorCheck } from '../api.js';
import { checkOf, counted } from './check.js';
import type { DoctorFacts, NodeFacts } from './facts.js';
import { checkUdpOut } from './network-checks.js';
import type { Chain, Hook, Packet, PacketFilter } from './packet-filter.js';
import { provenEndpoints } from './proven-endpoints.js';

const code = 'firewall';
const name = 'packet filter';

/** Whether the packet filter lets through what a gateway forwards, out what leaves our port, and in what comes to it. */
export function checkFirewall(facts: DoctorFacts): DoctorCheck {
  const check = checkOf(code, name);
  const { packetFilter, legacyTables } = facts.machine;
  if (!packetFilter) {
    return check.unknown('nft is not installed or may not be asked', 'apt install nftables, and ask again as root');
  }
  const faults = [forwarding, outgoing, incoming].flatMap((judge) => judge(packetFilter, facts) ?? []);
  const [worst] = (['error', 'warning', 'unknown'] as const).flatMap((state) =>
    faults.filter((fault) => fault.state === state),
  );
  if (worst) return worst;
  const isWell = checkUdpOut(facts).state === 'ok' && unproven(facts).length === 0;
  if (legacyTables.length > 0 && (facts.node.lan || !isWell)) {
    return check.unknown(
      `iptables-legacy has rules too (${legacyTables.join(', ')}), which nft does not list: they were not followed`,
      'look whether they drop what is forwarded, leaves our port or comes to it: "iptables-legacy -S" and "ip6tables-legacy -S"',
    );
  }
  const drops = packetFilter.chains.filter(({ policy }) => policy === 'drop').length;
  if (drops === 0) return check.ok('no chain drops by default');
  return check.ok(`${counted(drops, 'chain')} with policy drop, none in our way`);
}

function forwarding(filter: PacketFilter, { machine, node }: DoctorFacts): DoctorCheck | undefined {
  if (!node.lan) return undefined;
  const check = checkOf(code, name);
  const { device } = node;
  const families = node.lan.carriesIpv4 ? (['ip6', 'ip'] as const) : (['ip6'] as const);
  const packets = node.lan.devices.flatMap((lan) =>
    families.flatMap((family): Packet[] => [
      { family, iifname: device, oifname: lan },
      { family, iifname: lan, oifname: device },
    ]),
  );
  const { dropped, unclear } = stopping(filter, 'forward', packets);
  if (dropped.length > 0) {
    const docker = machine.hasDocker ? ' (Docker sets this policy)' : '';
    const rules = dropped.flatMap((chain) => {
      const into = filter.hasBeside(chain, 'DOCKER-USER') ? { ...chain, name: 'DOCKER-USER' } : chain;
      return ['iifname', 'oifname'].map((side) => insert(into, `${side} ${device}`));
    });
    return check.error(
      `forwarding is dropped in ${listed(dropped)}${docker}: packets between the LAN and the overlay do not pass`,
      `let them through, and keep that in the configuration of your firewall, or it is gone with the next restart`,
      rules.join('; '),
    );
  }
  if (unclear.length === 0) return undefined;
  return check.unknown(
    `whether forwarding passes is decided in ${listed(unclear)} by addresses or other things that were not followed`,
    `ping a machine of the LAN from another member; "nft list ruleset" shows the rules`,
  );
}

/** Only while no answer over UDP tells that it gets out. */
function outgoing(filter: PacketFilter, facts: DoctorFacts): DoctorCheck | undefined {
  const { state } = checkUdpOut(facts);
  if (state === 'ok') return undefined;
  const check = checkOf(code, name);
  const { port } = facts.node;
  // Members listen at the usual port, which is ours, and behind routers at any.
  const packets = outerWays(facts).flatMap(({ family, device }): Packet[] => {
    const packet = { family, oifname: device, l4proto: 'udp', sport: port };
    return [{ ...packet, dport: port }, packet];
  });
  const { dropped, unclear } = stopping(filter, 'output', packets);
  if (dropped.length > 0) {
    return check[state === 'error' ? 'error' : 'warning'](
      `what leaves UDP port ${port} is dropped in ${listed(dropped)}, and no answer came over UDP from outside`,
      `let it out, in the configuration of your firewall too`,
      dropped.map((chain) => insert(chain, `udp sport ${port}`)).join('; '),
    );
  }
  if (unclear.length === 0) return undefined;
  return check.unknown(
    `whether what leaves UDP port ${port} gets out is decided in ${listed(unclear)} by addresses, other ports or other things that were not followed`,
    `"nft list ruleset" shows the rules: let out UDP from port ${port} to any address and port`,
  );
}

/** Only of families that nothing was seen to come in by. */
function incoming(filter: PacketFilter, facts: DoctorFacts): DoctorCheck | undefined {
  const check = checkOf(code, name);
  const { port } = facts.node;
  const ways = unproven(facts);
  const packets = ways.map(({ family, device }): Packet => ({ family, iifname: device, l4proto: 'udp', dport: port }));
  const { dropped, unclear } = stopping(filter, 'input', packets);
  const only = ways.length < outerWays(facts).length ? `${ways[0]?.family === 'ip' ? 'IPv4' : 'IPv6'} ` : '';
  const nor = `no ${only}endpoint is proven`;
  if (dropped.length > 0) {
    return check.warning(
      `what comes to UDP port ${port} uncalled is dropped in ${listed(dropped)}, and ${nor}`,
      `accept UDP port ${port}, in the configuration of your firewall too`,
      dropped.map((chain) => insert(chain, `udp dport ${port}`)).join('; '),
    );
  }
  if (unclear.length === 0) return undefined;
  return check.unknown(
    `whether UDP port ${port} is let in is decided in ${listed(unclear)} by addresses or other things that were not followed, and ${nor}`,
    `"nft list ruleset" shows the rules; an endpoint that is proven would tell that it is`,
  );
}

interface OuterWay {
  readonly family: Packet['family'];
  /** Undefined: not known, or one of several. */
  readonly device: string | undefined;
}

/** What our datagrams travel over. */
function outerWays({ machine: { addresses, defaultRoutes }, node }: DoctorFacts): OuterWay[] {
  const ipv6 = addresses.filter(({ address }) => address.includes(':')).map(({ device }) => device);
  const ways: OuterWay[] = [];
  if (ipv6.length === 0 || ipv6.length < addresses.length)
    ways.push({ family: 'ip', device: defaultRoutes[0]?.device });
  if (node.usesIpv6 && ipv6.length > 0) {
    ways.push({ family: 'ip6', device: new Set(ipv6).size === 1 ? ipv6[0] : undefined });
  }
  return ways;
}

/** Those of them by which it was not seen that what comes uncalled is let in. */
function unproven(facts: DoctorFacts): OuterWay[] {
  return outerWays(facts).filter(({ family }) => !isProven(facts.node, family));
}

function isProven(node: NodeFacts, family: Packet['family']): boolean {
  return provenEndpoints(node).some(({ address }) => address.includes(':') === (family === 'ip6'));
}

/** The chains where one of the packets is dropped, and those where one may be. */
function stopping(filter: PacketFilter, hook: Hook, packets: readonly Packet[]) {
  const judged = packets.flatMap((packet) => filter.judge(hook, packet));
  const chains = (verdict: 'dropped' | 'unclear') => [
    ...new Set(judged.filter((one) => one.verdict === verdict).map(({ chain }) => chain)),
  ];
  return { dropped: chains('dropped'), unclear: chains('unclear') };
}

function listed(chains: readonly Chain[]): string {
  return chains.map(({ family, table, name: chain }) => `${family} ${table} ${chain}`).join(', ');
}

function insert({ family, table, name: chain }: Chain, matches: string): string {
  return `nft insert rule ${family} ${table} ${chain} ${matches} counter accept`;
}
