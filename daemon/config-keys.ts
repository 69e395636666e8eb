import { type Endpoint, parseEndpoint } from '../src/addr/endpoint.js';
import { isName } from '../src/addr/name.js';
import { type Prefix, parsePrefix } from '../src/addr/prefix.js';
import { isServerName } from '../src/addr/tls-endpoint.js';
import type { Millis } from '../src/time.js';
import { maxLanes } from '../src/tunnel/handshake.js';
import { parseDuration } from './duration.js';

/** One key of the configuration: its default, what it takes, and the comment `weft config` prints above it. */
export interface Key<T> {
  readonly preset: T;
  /** As TOML text, for the sample. */
  readonly sample: string;
  /** What is wanted, in words that end the sentence "... must be". */
  readonly want: string;
  readonly comment: string;
  /** The value, or undefined when it is not what is wanted. */
  read(value: unknown): T | undefined;
}

/** An array of tables, each with these keys; empty by default. */
export interface TableList<S> {
  readonly each: S;
  readonly comment: string;
}

function key<T>(preset: T, sample: string, want: string, comment: string, read: Key<T>['read']): Key<T> {
  return { preset, sample, want, comment, read };
}

function flag(preset: boolean, comment: string): Key<boolean> {
  return key(preset, String(preset), 'true or false', comment, (value) =>
    typeof value === 'boolean' ? value : undefined,
  );
}

function whole(preset: number, from: number, to: number, comment: string): Key<number> {
  return key(preset, String(preset), `a whole number from ${from} to ${to}`, comment, (value) =>
    Number.isInteger(value) && Number(value) >= from && Number(value) <= to ? Number(value) : undefined,
  );
}

function choice<const T extends string>(preset: T, options: readonly T[], comment: string): Key<T> {
  return key(preset, `"${preset}"`, `one of ${options.map((name) => `"${name}"`).join(', ')}`, comment, (value) =>
    options.find((option) => option === value),
  );
}

function choices<const T extends string>(options: readonly T[], comment: string): Key<readonly T[]> {
  const sample = options.map((name) => `"${name}"`).join(', ');
  return key<readonly T[]>(options, `[${sample}]`, `a list of any of ${sample}`, comment, (value) =>
    Array.isArray(value) && value.every((item) => options.includes(item)) ? value : undefined,
  );
}

function duration(preset: string, from: Millis, to: Millis, comment: string): Key<Millis> {
  const want = `a duration such as "500ms", "4s" or "1m", from ${from} ms to ${to / 1000} s`;
  return key(parseDuration(preset)!, `"${preset}"`, want, comment, (value) => {
    const length = typeof value === 'string' ? parseDuration(value) : undefined;
    return length !== undefined && length >= from && length <= to ? length : undefined;
  });
}

/** Undefined without the key: unlike an empty list, which means none. */
function prefixes(comment: string): Key<readonly Prefix[] | undefined> & { readonly optional: true } {
  const want = 'a list of prefixes such as ["192.168.7.0/24", "2001:db8:7::/48"]';
  const one = key<readonly Prefix[] | undefined>(undefined, '["192.168.7.0/24"]', want, comment, (value) => {
    const read = Array.isArray(value)
      ? value.map((text) => (typeof text === 'string' ? parsePrefix(text) : undefined))
      : [undefined];
    return read.every((prefix) => prefix !== undefined) ? read : undefined;
  });
  return { ...one, optional: true };
}

function file(sample: string, comment: string): Key<string | undefined> {
  return key<string | undefined>(undefined, sample, 'the path of a file, beginning with /', comment, (value) =>
    typeof value === 'string' && value.startsWith('/') ? value : undefined,
  );
}

/** The kernel's bound on device names (IFNAMSIZ - 1), and no character that means something to a shell or to `ip`. */
const devicePattern = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$/;

const hostPort = /^(?:\[[0-9a-f:.]+\]|[A-Za-z0-9.-]+)(?::\d{1,5})?$/;

const listen: Endpoint = { address: '0.0.0.0', port: 16696 };

/** Every key there is; `weft config` prints them with what they mean. */
export const configKeys = {
  name: key<string | undefined>(
    undefined,
    '"my-machine"',
    'lower-case letters, digits and hyphens, at most 63',
    'How other nodes call this machine. Without it: the host name. Takes effect at init and join.',
    (value) => (typeof value === 'string' && isName(value) ? value : undefined),
  ),
  listen: key<Endpoint>(
    listen,
    '"0.0.0.0:16696"',
    'an IPv4 address and UDP port such as "0.0.0.0:16696"',
    'The UDP address and port of the tunnels.',
    (value) => (typeof value === 'string' && !value.includes('[') ? parseListen(value) : undefined),
  ),
  endpoints: key<readonly string[]>(
    [],
    '[]',
    'a list of "HOST:PORT"',
    'Where this machine can be reached from outside, if you know: "HOST:PORT", as after a port forwarding set by hand.',
    (value) =>
      Array.isArray(value) && value.every((item) => typeof item === 'string' && hostPort.test(item))
        ? value
        : undefined,
  ),
  tls: {
    listen: key<Endpoint | undefined>(
      undefined,
      '"0.0.0.0:443"',
      'an IPv4 address and TCP port such as "0.0.0.0:443"',
      'Take tunnels over TLS too, for members whose network lets nothing else out. Needs certificate and key.',
      (value) => (typeof value === 'string' && !value.includes('[') ? parseListen(value) : undefined),
    ),
    certificate: file(
      '"/etc/weft/tls-certificate.pem"',
      'The certificate and what it hangs on, as PEM. Read again when it changes.',
    ),
    key: file('"/etc/weft/tls-key.pem"', 'Its private key, as PEM.'),
    endpoint: key<Endpoint | undefined>(
      undefined,
      '"192.0.2.1:443"',
      'an address and TCP port such as "192.0.2.1:443"',
      'Where that is reached from outside, if not at an address of this machine: after a port forwarding set by hand.',
      (value) => (typeof value === 'string' ? parseEndpoint(value) : undefined),
    ),
    serverName: key<string | undefined>(
      undefined,
      '"vpn.example.net"',
      'a DNS name in lower case of at most 63 characters',
      'The server name that callers ask for. Without it: the first DNS name of the certificate.',
      (value) => (typeof value === 'string' && isServerName(value) ? value : undefined),
    ),
  },
  tun: {
    name: key(
      'weft0',
      '"weft0"',
      'a device name of at most 15 characters',
      'The network device. Another name for a second network on this machine.',
      (value) => (typeof value === 'string' && devicePattern.test(value) ? value : undefined),
    ),
    mtu: whole(1380, 1280, 1380, 'The largest packet inside the overlay; the same on every node.'),
    offload: flag(true, 'Let the kernel hand over large packets at once. Off only to look for faults.'),
  },
  portMapping: {
    enabled: flag(true, 'Open the UDP port on the home router.'),
    protocols: choices(['upnp', 'nat-pmp'], 'How to ask the router.'),
  },
  relay: {
    mode: choice('yes', ['yes', 'limited', 'no'], 'Carry packets between other nodes? They stay sealed to us.'),
    limitMbit: whole(10, 1, 100_000, 'With mode "limited": at most so many Mbit/s.'),
    limitGbMonth: whole(
      0,
      0,
      1_000_000,
      'With mode "limited": at most so many GB a month (UTC), then none; 0: no limit.',
    ),
  },
  underlay: {
    ipv6: flag(false, 'Build tunnels over IPv6 too, where both ends have it.'),
  },
  babel: {
    acceptDefaultRoutes: flag(false, 'Use a default route that a gateway of the overlay is granted and announces.'),
    interface: {
      comment: 'A LAN to join with the overlay: this machine forwards for it, and speaks Babel with its routers.',
      each: {
        device: key<string | undefined>(undefined, '"eth1"', 'a device name', 'The device; needed.', (value) =>
          typeof value === 'string' && devicePattern.test(value) ? value : undefined,
        ),
        helloInterval: duration('4s', 100, 600_000, 'How often we say hello.'),
        updateInterval: duration(
          '16s',
          100,
          600_000,
          'How often we repeat all routes. What is lost there is unreachable for 3.5 of these, a minute at least.',
        ),
        type: choice('wired', ['wired', 'wireless', 'tunnel'], 'How losses and delay count.'),
        import: prefixes(
          'What we take from its routers, with all longer ones. Without it: what our certificate grants.',
        ),
        export: prefixes(
          'What we tell its routers, with all longer ones. Without it: the overlay and all LANs behind it.',
        ),
      },
    },
  },
  critical: {
    comment: 'A node that matters: `weft status` is not well while it is unreachable.',
    each: {
      node: key<string | undefined>(undefined, '"database"', 'the name of a node', 'The node; needed.', (value) =>
        typeof value === 'string' && isName(value) ? value : undefined,
      ),
    },
  },
  inbound: choice(
    'allow',
    ['allow'],
    'What members may open to this machine. This version hands everything to the host and its firewall.',
  ),
  log: {
    level: choice('info', ['debug', 'info', 'warn', 'error'], 'How much to write to the log.'),
  },
  force: {
    workers: whole(0, 0, maxLanes, 'For tests. Worker threads of the plane, one a lane; 0: as many as fit.'),
    ownTunnels: whole(0, 0, 10, 'So many tunnels of its own, all together three times as many; 0: the rule.'),
    punchesPerMinute: whole(240, 0, 240, 'Datagrams that open a NAT, at most, whoever asks for them.'),
    sleepSeconds: whole(0, 0, 10 ** 6, 'What a stop of the process is to be on its clocks: a suspend of this length.'),
    noAes: flag(false, 'ChaCha20-Poly1305 is the faster cipher here.'),
    noEvp: flag(false, 'Ciphers through node:crypto.'),
    noTso: flag(false, 'No large TCP packets from the TUN.'),
    noUso: flag(false, 'No large UDP packets from the TUN.'),
    noUdpGso: flag(false, 'One datagram for each system call.'),
    noSteering: flag(false, 'Any thread gets any datagram.'),
    noVnetHeader: flag(false, 'A TUN without virtio header: full checksums.'),
    noWarmUp: flag(false, 'The first packets take longer, and so do those after a rest.'),
  },
} as const;

function parseListen(text: string): Endpoint | undefined {
  // Port 0 lets the kernel choose, for tests and second networks; parseEndpoint refuses it as a place to send to.
  if (/^[\d.]+:0$/.test(text)) {
    const any = parseEndpoint(text.replace(/:0$/, ':1'));
    return any && { ...any, port: 0 };
  }
  const endpoint = parseEndpoint(text);
  return endpoint && !endpoint.address.includes(':') ? endpoint : undefined;
}

export type Values<S> =
  S extends Key<infer T>
    ? T
    : S extends TableList<infer E>
      ? readonly Values<E>[]
      : { readonly [K in keyof S]: Values<S[K]> };

/** "limitMbit" is written "limit-mbit" in the file. */
export function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

export function isKey(node: object): node is Key<unknown> {
  return 'read' in node;
}

export function isTableList(node: object): node is TableList<object> {
  return 'each' in node;
}

/** A whole configuration file with every key, its comment and its default, all commented out. */
export function configSample(): string {
  const lines: string[] = ['# weft: every key with its default. Remove the # in front of a key to change it.'];
  const write = (node: object, path: string) => {
    const entries = Object.entries(node) as [string, object][];
    for (const [name, child] of entries) {
      if (isKey(child)) lines.push('', `# ${child.comment}`, `#${kebab(name)} = ${child.sample}`);
    }
    for (const [name, child] of entries) {
      const below = path === '' ? kebab(name) : `${path}.${kebab(name)}`;
      if (isTableList(child)) {
        lines.push('', `# ${child.comment}`, `#[[${below}]]`);
        write(child.each, below);
      } else if (!isKey(child)) {
        if (Object.values(child).some(isKey)) lines.push('', `[${below}]`);
        write(child, below);
      }
    }
  };
  write(configKeys, '');
  return `${lines.join('\n')}\n`;
}
