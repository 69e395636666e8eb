import type { DoctorCheck } from '../api.js';
import type { DoctorFacts, NodeFacts } from './facts.js';
import { checkFirewall } from './firewall-check.js';
import {
  checkClock,
  checkExposure,
  checkIpv6,
  checkKernelSettings,
  checkOffloads,
  checkTunDevice,
} from './machine-checks.js';
import {
  checkEndpoints,
  checkMtu,
  checkNat,
  checkPortMapping,
  checkTls,
  checkUdpOut,
  checkUnderlay,
} from './network-checks.js';
import { probeMachine } from './probe.js';

/** In the order they are shown: what the next one needs comes first. */
const checks: readonly ((facts: DoctorFacts) => DoctorCheck)[] = [
  checkUnderlay,
  checkUdpOut,
  checkPortMapping,
  checkNat,
  checkEndpoints,
  checkTls,
  checkMtu,
  checkClock,
  checkTunDevice,
  checkOffloads,
  checkIpv6,
  checkFirewall,
  checkKernelSettings,
  checkExposure,
];

export interface DoctorContext {
  readonly node: NodeFacts;
  /** Node and app addresses of this machine, in canonical text. */
  readonly ownAddresses: readonly string[];
}

/** All checks of `weft doctor`, on this machine, now. Changes nothing; under a second, or 3 s where `nft` hangs. */
export async function runDoctor({ node, ownAddresses }: DoctorContext): Promise<DoctorCheck[]> {
  return judge({ node, machine: await probeMachine(node.device, ownAddresses) });
}

/** The same of facts already gathered. */
export function judge(facts: DoctorFacts): DoctorCheck[] {
  return checks.map((check) => check(facts));
}
