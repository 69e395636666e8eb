import { readFileSync } from 'node:fs';
import { endianness, networkInterfaces } from 'node:os';
import { parseIp } from '../addr/ip.js';
import { Prefix } from '../addr/prefix.js';

/** A router our packets leave through, and our own address on its side. */
export interface DefaultGateway {
  readonly address: string;
  readonly localAddress: string;
}

const flagUp = 1;
const flagGateway = 2;

/** The IPv4 default gateways of this network namespace (several with several uplinks), best metric first. */
export function readDefaultGateways(): DefaultGateway[] {
  let table: string;
  try {
    table = readFileSync('/proc/net/route', 'latin1');
  } catch {
    return []; // not Linux, or no /proc: then there is no gateway we know of
  }
  return parseRouteTable(table)
    .map(({ device, gateway }) => ({ address: gateway, localAddress: localAddressFacing(device, gateway) }))
    .filter((found): found is DefaultGateway => found.localAddress !== undefined);
}

/** Fields of /proc/net/route: Iface Destination Gateway Flags RefCnt Use Metric Mask …, numbers in hex, host byte order. */
export function parseRouteTable(table: string): { device: string; gateway: string }[] {
  const rows = table
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields.length >= 8);
  return rows
    .filter(([, destination, , flags, , , , mask]) => {
      const bits = Number.parseInt(flags!, 16);
      return destination === '00000000' && mask === '00000000' && (bits & flagUp) !== 0 && (bits & flagGateway) !== 0;
    })
    .sort((a, b) => Number(a[6]) - Number(b[6]))
    .map(([device, , gateway]) => ({ device: device!, gateway: addressOf(gateway!) }));
}

function addressOf(hex: string): string {
  const octets = [...Buffer.from(hex, 'hex')];
  return (endianness() === 'LE' ? octets.reverse() : octets).join('.');
}

function localAddressFacing(device: string, gateway: string): string | undefined {
  const ours = (networkInterfaces()[device] ?? []).filter((address) => address.family === 'IPv4');
  const facing = ours.find(({ address, cidr }) => {
    const length = Number(cidr?.split('/')[1] ?? 32);
    return new Prefix(parseIp(address)!, 96 + length).contains(parseIp(gateway)!);
  });
  return (facing ?? ours[0])?.address;
}
