import type { ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { MappingProtocol } from './description.js';
import type { Namespace } from './namespace.js';

/** The real miniupnpd of one home router. It needs the chains that `routerRules` makes. */
export class Gateway {
  readonly #namespace: Namespace;
  readonly #config: string;
  readonly #log: string[] = [];
  #child: ChildProcess | undefined;

  constructor(namespace: Namespace, protocols: readonly MappingProtocol[], folder: string) {
    const speaks = (...list: MappingProtocol[]) => (list.some((each) => protocols.includes(each)) ? 'yes' : 'no');
    this.#namespace = namespace;
    this.#config = join(folder, `${namespace.name}.miniupnpd.conf`);
    writeFileSync(
      this.#config,
      [
        'ext_ifname=wan',
        'listening_ip=lan',
        'http_port=5000',
        `enable_upnp=${speaks('igd1', 'igd2')}`,
        `force_igd_desc_v1=${speaks('igd1')}`,
        `enable_natpmp=${speaks('nat-pmp')}`,
        'secure_mode=yes',
        'min_lifetime=20',
        'upnp_table_name=router',
        'upnp_nat_table_name=router',
        'upnp_forward_chain=upnp_forward',
        'upnp_nat_chain=upnp_prerouting',
        'upnp_nat_postrouting_chain=upnp_postrouting',
        `uuid=00000000-0000-4000-8000-${Buffer.from(namespace.name.slice(-6).padStart(6)).toString('hex')}`,
        'allow 1024-65535 0.0.0.0/0 1024-65535',
        'deny 0-65535 0.0.0.0/0 0-65535',
        '',
      ].join('\n'),
    );
  }

  /** Starts with an empty table; resolves once it listens. */
  async start(): Promise<void> {
    const pidFile = this.#config.replace(/conf$/, 'pid');
    const child = this.#namespace.spawn(['miniupnpd', '-d', '-f', this.#config, '-P', pidFile]);
    this.#child = child;
    const log = this.#log;
    await new Promise<void>((resolve, reject) => {
      const hear = (line: string) => {
        log.push(line);
        if (log.length > 500) log.shift();
        // The last thing it does before its loop is to listen for NAT-PMP, or for HTTP where that is all it speaks.
        if (/[Ll]istening (on port|for NAT-PMP)/.test(line)) setImmediate(resolve);
      };
      createInterface({ input: child.stdout }).on('line', hear);
      createInterface({ input: child.stderr }).on('line', hear);
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`miniupnpd ended with ${code}:\n${log.slice(-20).join('\n')}`)));
    });
    child.unref();
  }

  /** Its outer address has changed: where it speaks NAT-PMP alone it watches no devices, and the router's scripts tell it. */
  addressChanged(): void {
    this.#child?.kill('SIGUSR1');
  }

  /** Ends it as a lost power line would; its mappings are forgotten. */
  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child && child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.ref();
      child.kill('SIGKILL');
      await ended;
    }
    await this.#namespace.nft(
      ['upnp_prerouting', 'upnp_postrouting', 'upnp_forward']
        .map((chain) => `flush chain inet router ${chain}\n`)
        .join(''),
    );
  }

  /** The ports now mapped, as rules of the kernel: what the router really does. */
  async mappings(): Promise<{ protocol: 'udp' | 'tcp'; externalPort: number; address: string; port: number }[]> {
    const text = await this.#namespace.must(['nft', '-n', 'list', 'chain', 'inet', 'router', 'upnp_prerouting']);
    return text.split('\n').flatMap((line) => {
      // nft of Debian 12 prints miniupnpd's match of the IP protocol raw: octet 9 of the header.
      const protocol = /\b(udp|tcp)\b/.exec(line)?.[1] ?? (/@nh,72,8 0x0?6\b/.test(line) ? 'tcp' : 'udp');
      const outside = /(?:th|udp|tcp) dport (\d+)/.exec(line)?.[1];
      const inside = /dnat (?:ip )?to ([\d.]+):(\d+)/.exec(line);
      if (!outside || !inside) return [];
      return [
        {
          protocol: protocol as 'udp' | 'tcp',
          externalPort: Number(outside),
          address: inside[1]!,
          port: Number(inside[2]),
        },
      ];
    });
  }

  log(): readonly string[] {
    return this.#log;
  }
}
