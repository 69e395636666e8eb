import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { MappingProtocol } from '../../src/upnp/contract.js';
import type { MappingStatus } from '../../src/upnp/status.js';

const lan = 'lan0';
const wan = 'wan0';
const routerAddress = '192.168.1.1';
export const homeAddress = '192.168.1.20';

export interface RouterOptions {
  readonly externalAddress: string;
  /** Describe itself as an IGD of generation 1. */
  readonly generation1?: boolean;
  /** Let a machine ask for mappings to another one, as routers without miniupnpd's secure mode do. */
  readonly anyClient?: boolean;
}

/**
 * A home, its router and somebody outside, in three network namespaces: nftables masquerades, and the real miniupnpd maps
 * ports. As in most routers, nothing comes in that is not forwarded.
 */
export class MiniupnpdHome {
  readonly #names: { readonly home: string; readonly router: string; readonly outside: string };
  readonly #folder = mkdtempSync(join(tmpdir(), 'weft-miniupnpd-'));
  readonly #clients = new Set<MappingClient>();
  #router: ChildProcess | undefined;
  #externalAddress = '';

  constructor(name: string) {
    const base = `weft-${name}-${process.pid}`;
    this.#names = { home: `${base}-h`, router: `${base}-r`, outside: `${base}-o` };
    const { home, router, outside } = this.#names;
    for (const namespace of [home, router, outside]) {
      ip('netns', 'add', namespace);
      ip('-n', namespace, 'link', 'set', 'lo', 'up');
    }
    ip('link', 'add', lan, 'netns', router, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', home);
    ip('link', 'add', wan, 'netns', router, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', outside);
    for (const [namespace, device, address] of [
      [home, 'eth0', `${homeAddress}/24`],
      [router, lan, `${routerAddress}/24`],
      [outside, 'eth0', '11.0.0.1/24'],
    ] as const) {
      ip('-n', namespace, 'addr', 'add', address, 'dev', device);
      ip('-n', namespace, 'link', 'set', device, 'up');
    }
    ip('-n', router, 'link', 'set', wan, 'up');
    ip('-n', home, 'route', 'add', 'default', 'via', routerAddress);
    ip('-n', router, 'route', 'add', '239.0.0.0/8', 'dev', lan);
    inside(router, 'sysctl', '-qw', 'net.ipv4.ip_forward=1');
  }

  /** Boots the router: empty tables, this external address. */
  startRouter({ externalAddress, generation1 = false, anyClient = false }: RouterOptions): void {
    const { router } = this.#names;
    if (this.#externalAddress !== '') ip('-n', router, 'addr', 'flush', 'dev', wan);
    ip('-n', router, 'addr', 'add', `${externalAddress}/24`, 'dev', wan);
    this.#externalAddress = externalAddress;
    const rules = join(this.#folder, 'rules.nft');
    writeFileSync(rules, ruleset);
    inside(router, 'nft', '-f', rules);
    const config = join(this.#folder, 'miniupnpd.conf');
    writeFileSync(config, configuration(generation1, anyClient));
    const args = ['netns', 'exec', router, 'miniupnpd', '-d', '-f', config, '-P', join(this.#folder, 'pid')];
    this.#router = spawn('ip', args, { stdio: 'ignore' });
  }

  /** The router's DHCP server has given the home another address. */
  moves(address: string): void {
    const { home } = this.#names;
    ip('-n', home, 'addr', 'flush', 'dev', 'eth0');
    ip('-n', home, 'addr', 'add', `${address}/24`, 'dev', 'eth0');
    ip('-n', home, 'route', 'add', 'default', 'via', routerAddress);
  }

  /** From now on nothing that is asked by this protocol arrives at the router. */
  mute(protocol: MappingProtocol): void {
    const port = protocol === 'upnp' ? 1900 : 5351;
    inside(this.#names.router, 'nft', 'insert', 'rule', 'inet', 'filter', 'input', 'udp', 'dport', `${port}`, 'drop');
  }

  /** Both protocols are heard. */
  unmute(): void {
    inside(this.#names.router, 'nft', 'flush', 'chain', 'inet', 'filter', 'input');
  }

  async stopRouter(): Promise<void> {
    const router = this.#router;
    if (!router || router.exitCode !== null || router.signalCode !== null) return;
    await new Promise((resolve) => {
      router.on('exit', resolve);
      router.kill('SIGTERM');
    });
  }

  /** What the kernel forwards, as nftables has it: "udp 16696 192.168.1.20:16696" a line. */
  forwardings(): string[] {
    const table = inside(this.#names.router, 'nft', 'list', 'chain', 'inet', 'nat', 'miniupnpd_pre');
    return table.split('\n').flatMap((line) => {
      const [, port, to] = /dport (\d+) dnat ip to (\S+)/.exec(line) ?? [];
      // nft of Debian 12 prints miniupnpd's match of the IP protocol raw: octet 9 of the header.
      const transport = /\btcp\b|@nh,72,8 0x0?6\b/.test(line) ? 'tcp' : 'udp';
      return port && to ? [`${transport} ${port} ${to}`] : [];
    });
  }

  /** An entry that another machine of the house has made before. */
  occupy(externalPort: number, protocol: 'UDP' | 'TCP'): void {
    inside(this.#names.home, 'upnpc', '-a', '192.168.1.30', '9', `${externalPort}`, protocol, '0');
  }

  /** Somebody on the Internet sends a datagram, or opens a stream, to the router's external address. */
  sendFromOutside(port: number, text: string, transport: 'udp' | 'tcp' = 'udp'): void {
    const to = `/dev/${transport}/${this.#externalAddress}/${port}`;
    inside(this.#names.outside, 'timeout', '5', 'bash', '-c', `echo -n ${text} > ${to}`);
  }

  /** `seenAt`: where its peers see it. */
  startClient(protocols: readonly MappingProtocol[], lease = 3600, seenAt = 'nowhere'): MappingClient {
    const client = new MappingClient(this.#names.home, lease, seenAt, protocols);
    this.#clients.add(client);
    return client;
  }

  async remove(): Promise<void> {
    await Promise.all([...this.#clients].map((client) => client.kill()));
    await this.stopRouter();
    for (const namespace of Object.values(this.#names)) ip('netns', 'del', namespace);
    rmSync(this.#folder, { recursive: true });
  }
}

/** A node of the home that keeps port 16696 mapped, and listens there. */
export class MappingClient {
  readonly startedAt = performance.now();
  readonly #process: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #lines: string[] = [];
  #wake = () => {};

  constructor(namespace: string, lease: number, seenAt: string, protocols: readonly MappingProtocol[]) {
    const program = new URL('./mapping-client.js', import.meta.url).pathname;
    const args = ['netns', 'exec', namespace, process.execPath, program, '16696', `${lease}`, seenAt, ...protocols];
    this.#process = spawn('ip', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#exited = new Promise((resolve) => this.#process.on('exit', resolve));
    createInterface({ input: this.#process.stdout! }).on('line', (line) => {
      this.#lines.push(line);
      this.#wake();
    });
  }

  /** The first status from now on, or printed and not yet awaited, that fits; throws after `limit` milliseconds. */
  status(fits: (status: MappingStatus) => boolean, limit: number): Promise<MappingStatus> {
    return this.#await((line) => 'state' in line && fits(line as MappingStatus), limit) as Promise<MappingStatus>;
  }

  /** An address, a link or a route is another one. */
  networkChanges(): void {
    this.#process.kill('SIGHUP');
  }

  async received(text: string, limit: number): Promise<void> {
    await this.#await((line) => 'received' in line && line.received === text, limit);
  }

  /** Leaves as a daemon does: the mapping is removed. */
  async stop(): Promise<void> {
    this.#process.kill('SIGTERM');
    await this.#exited;
  }

  async kill(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    this.#process.kill('SIGKILL');
    await this.#exited;
  }

  async #await(fits: (line: object) => boolean, limit: number): Promise<object> {
    const late = AbortSignal.timeout(limit);
    const seen: string[] = [];
    for (;;) {
      for (let line = this.#lines.shift(); line !== undefined; line = this.#lines.shift()) {
        seen.push(line);
        const value = JSON.parse(line) as object;
        if (fits(value)) return value;
      }
      if (late.aborted) throw new Error(`not seen within ${limit} ms, but:\n${seen.join('\n')}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        late.addEventListener('abort', () => resolve(), { once: true });
      });
    }
  }
}

function ip(...args: string[]): void {
  execFileSync('ip', args);
}

/** npm puts node_modules/.bin first in the path, and a package there has a program called nft that is not nftables. */
const env = { ...process.env, PATH: '/usr/sbin:/usr/bin:/sbin:/bin' };

function inside(namespace: string, ...command: string[]): string {
  return execFileSync('ip', ['netns', 'exec', namespace, ...command], { encoding: 'utf8', stdio: 'pipe', env });
}

const ruleset = `
flush ruleset
table inet filter {
  chain miniupnpd { }
  chain input {
    type filter hook input priority 0; policy accept;
  }
  chain forward {
    type filter hook forward priority 0; policy drop;
    iifname "${lan}" accept
    ct state established,related accept
    jump miniupnpd
  }
}
table inet nat {
  chain miniupnpd_pre { }
  chain miniupnpd_post { }
  chain prerouting {
    type nat hook prerouting priority dstnat;
    jump miniupnpd_pre
  }
  chain postrouting {
    type nat hook postrouting priority srcnat;
    jump miniupnpd_post
    oifname "${wan}" masquerade
  }
}
`;

function configuration(generation1: boolean, anyClient: boolean): string {
  return `
ext_ifname=${wan}
listening_ip=${lan}
http_port=5000
enable_natpmp=yes
enable_upnp=yes
secure_mode=${anyClient ? 'no' : 'yes'}
system_uptime=no
notify_interval=900
force_igd_desc_v1=${generation1 ? 'yes' : 'no'}
uuid=9d2a7a52-2a2a-4f33-8c68-0c2f1f6d8c11
upnp_table_name=filter
upnp_nat_table_name=nat
upnp_forward_chain=miniupnpd
upnp_nat_chain=miniupnpd_pre
upnp_nat_postrouting_chain=miniupnpd_post
allow 1024-65535 0.0.0.0/0 1-65535
`;
}
