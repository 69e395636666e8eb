import { appAddress } from '../src/addr/app-address.js';
import { type IpBytes, parseIp } from '../src/addr/ip.js';
import { requireName } from '../src/addr/name.js';
import { nodeAddress } from '../src/addr/node-number.js';
import { MeshError } from '../src/errors.js';
import { requireNode } from '../src/mesh/commands.js';
import type { Mesh } from '../src/mesh/mesh.js';

/** NAME or APP@NAME to an address: an app's follows from its name, so nobody has to be asked. Throws a MeshError. */
export function resolveName(mesh: Mesh, text: string): IpBytes {
  const network = mesh.membership.network.prefix;
  const [first = '', second, ...more] = text.split('@');
  if (more.length > 0) throw new MeshError('bad-name', `"${text}" is no name`, 'write NAME or APP@NAME');
  const node = requireNode(mesh, second ?? first);
  if (second === undefined) return nodeAddress(network, node.number);
  return appAddress(network, node.number, requireName(first));
}

/** The same, or an address as it is. */
export function resolveTarget(mesh: Mesh, text: string): IpBytes {
  return parseIp(text) ?? resolveName(mesh, text);
}
