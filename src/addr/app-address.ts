import { utf8 } from '../bytes.js';
import { sha256 } from '../crypto.js';
import type { IpBytes } from './ip.js';
import { type NodeNumber, nodePrefix } from './node-number.js';
import type { Prefix } from './prefix.js';

const label = utf8('weft app');

/**
 * The stable address of an app on a node: the node's /64, then a set bit and 63 bits of SHA-256("weft app" ‖ name). The
 * same name always gives the same address there, and never one the operator hands out (docs/protocol/addr.md, The
 * address plan).
 */
export function appAddress(network: Prefix, number: NodeNumber, appName: string): IpBytes {
  const address = new Uint8Array(nodePrefix(network, number).bytes);
  address.set(sha256(label, utf8(appName)).subarray(0, 8), 8);
  address[8]! |= 0x80;
  return address;
}
