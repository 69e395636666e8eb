import { createSocket } from 'node:dgram';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import type { Endpoint } from '../../src/addr/endpoint.js';
import { MeshError } from '../../src/errors.js';
import { isTun, type Link, readLinks } from './ip.js';

/**
 * Checks what a node needs of this machine before anything is touched. Each finding is one MeshError with its cure:
 * "no-tun-device", "tun-not-permitted", "tun-mismatch", "tun-busy", "no-ipv6", "no-ipv4", "listen-address-missing",
 * "port-in-use".
 */
export async function checkMachine(setting: { readonly device: string; readonly listen: Endpoint }): Promise<void> {
  checkTun();
  const links = await readLinks();
  checkDevice(setting.device, links);
  if (!existsSync('/proc/sys/net/ipv6')) {
    throw new MeshError(
      'no-ipv6',
      'the kernel runs without IPv6',
      'remove ipv6.disable=1 from the kernel command line and restart the machine',
    );
  }
  checkIpv4(setting.listen, links);
  await checkPort(setting.listen);
}

/** /dev/net/tun and the right to use it. */
export function checkTun(file = '/dev/net/tun', capabilities = effectiveCapabilities()): void {
  if (!existsSync(file)) {
    throw new MeshError(
      'no-tun-device',
      `${file} does not exist`,
      'load the module (modprobe tun); for a container add --device /dev/net/tun',
    );
  }
  const permission = (cause?: unknown) =>
    new MeshError(
      'tun-not-permitted',
      'making a network device is not permitted',
      'run as root (sudo), or give the process CAP_NET_ADMIN; for a container add --cap-add NET_ADMIN',
      { cause },
    );
  if (!(capabilities & capNetAdmin)) throw permission();
  try {
    closeSync(openSync(file, 'r+'));
  } catch (error) {
    throw permission(error);
  }
}

/** capabilities(7) */
const capNetAdmin = 1n << 12n;

function effectiveCapabilities(): bigint {
  const hex = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  return BigInt(`0x${hex ?? '0'}`);
}

function checkDevice(device: string, links: readonly Link[]): void {
  const link = links.find(({ ifname }) => ifname === device);
  if (!link) return;
  const another = 'give this network a device of its own: tun.name = "weft1" in the configuration';
  if (!isTun(link)) throw new MeshError('tun-mismatch', `${device} exists and is no TUN device`, another);
  // A persistent TUN has a carrier exactly while a process holds it.
  if (link.flags.includes('LOWER_UP')) {
    throw new MeshError('tun-busy', `another process holds ${device}`, `stop it (another weftd?), or ${another}`);
  }
}

/**
 * An address to listen at that the operator named is checked by binding to it; "any" needs one to be reached at. A device
 * that is up counts before it carries: at boot, or with its cable out, its address is there and may serve a second later.
 */
function checkIpv4(listen: Endpoint, links: readonly Link[]): void {
  if (listen.address !== '0.0.0.0') return;
  const addresses = links.filter(({ flags }) => flags.includes('UP')).flatMap((link) => link.addr_info ?? []);
  if (addresses.some(({ family, scope }) => family === 'inet' && scope !== 'host')) return;
  throw new MeshError(
    'no-ipv4',
    'this machine has no IPv4 address, and tunnels travel over IPv4',
    'connect it to a network (see "ip address")',
  );
}

async function checkPort(listen: Endpoint): Promise<void> {
  const socket = createSocket('udp4');
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind({ port: listen.port, address: listen.address, exclusive: true }, resolve);
    });
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'EADDRINUSE') {
      throw new MeshError(
        'port-in-use',
        `UDP port ${listen.port} is in use`,
        `stop the other program (ss -lunp sport = ${listen.port} names it), or choose another port: listen = "0.0.0.0:16700"`,
        { cause },
      );
    }
    if (code === 'EADDRNOTAVAIL') {
      throw new MeshError(
        'listen-address-missing',
        `this machine does not have the address ${listen.address}`,
        'correct "listen" in the configuration, or use "0.0.0.0:16696"',
        { cause },
      );
    }
    if (code === 'EACCES') {
      throw new MeshError(
        'port-not-permitted',
        `UDP port ${listen.port} is not permitted to this user`,
        'choose a port above 1023 for "listen", or run as root',
        { cause },
      );
    }
    throw cause;
  } finally {
    socket.close();
  }
}
