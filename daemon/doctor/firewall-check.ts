import type { DoctorCheck } from '../api.js';
import { checkOf, counted } from './check.js';
import type { DoctorFacts, NodeFacts } from './facts.js';
import type { Chain, Packet, PacketFilter } from './packet-filter.js';

const code = 'firewall';
const name = 'packet filter';

/** Whether the packet filter lets through what a gateway forwards, and in what comes to our port. */
export function checkFirewall(facts: DoctorFacts): DoctorCheck {
  const check = checkOf(code, name);
  const { packetFilter } = facts.machine;
  if (!packetFilter) {
    return check.unknown('nft is not installed or may not be asked', 'apt install nftables, and ask again as root');
  }
  const fault = forwarding(packetFilter, facts) ?? incoming(packetFilter, facts);
  if (fault) return fault;
  const { legacyTables } = facts.machine;
  if (legacyTables.length > 0 && (facts.node.lan || !isProven(facts.node))) {
    return check.unknown(
      `iptables-legacy has rules too (${legacyTables.join(', ')}), which nft does not list: they were not followed`,
      'look whether they drop what is forwarded or comes to our port: "iptables-legacy -S" and "ip6tables-legacy -S"',
    );
  }
  const drops = packetFilter.chains.filter(({ policy }) => policy === 'drop').length;
  if (drops === 0) return check.ok('no chain drops by default');
  return check.ok(`${counted(drops, 'chain')} with policy drop, none in our way`);
}

function forwarding(filter: PacketFilter, { machine, node }: DoctorFacts): DoctorCheck | undefined {
  if (!node.lan) return undefined;
  const check = checkOf(code, name);
  const device = node.status.tun?.name ?? 'weft0';
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

function incoming(filter: PacketFilter, { machine, node }: DoctorFacts): DoctorCheck | undefined {
  if (isProven(node)) return undefined;
  const check = checkOf(code, name);
  const packet = { family: 'ip', iifname: machine.gateways[0]?.device, l4proto: 'udp', dport: node.port } as const;
  const { dropped, unclear } = stopping(filter, 'input', [packet]);
  if (dropped.length > 0) {
    return check.warning(
      `what comes to UDP port ${node.port} uncalled is dropped in ${listed(dropped)}, and no endpoint is proven`,
      `accept UDP port ${node.port}, in the configuration of your firewall too`,
      dropped.map((chain) => insert(chain, `udp dport ${node.port}`)).join('; '),
    );
  }
  if (unclear.length === 0) return undefined;
  return check.unknown(
    `whether UDP port ${node.port} is let in is decided in ${listed(unclear)} by addresses or other things that were not followed, and no endpoint is proven`,
    `"nft list ruleset" shows the rules; an endpoint that is proven would tell that it is`,
  );
}

/** It was seen that what comes uncalled is let in. */
function isProven({ status }: NodeFacts): boolean {
  return status.endpoints.some(({ proven }) => proven);
}

/** The chains where one of the packets is dropped, and those where one may be. */
function stopping(filter: PacketFilter, hook: 'input' | 'forward', packets: readonly Packet[]) {
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
