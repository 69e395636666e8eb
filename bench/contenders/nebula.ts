import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { finished } from '../../lab/namespace.js';
import { type Contender, Daemons, folderFor } from '../contender.js';
import { debianVersion } from '../versions.js';

async function cert(...words: readonly string[]): Promise<void> {
  const { code, stderr } = await finished(spawn('nebula-cert', words, { stdio: ['ignore', 'pipe', 'pipe'] }));
  if (code !== 0) throw new Error(`nebula-cert ${words[0]}: ${stderr}`);
}

/** nebula with its own defaults; the last host is the lighthouse. */
export const nebula: Contender = {
  name: 'nebula',
  version: () => debianVersion('nebula'),
  relays: false,
  async start(chain) {
    const { hosts, folder, lineAddress } = chain;
    const daemons = new Daemons();
    const ca = ['-ca-crt', join(folder, 'ca.crt'), '-ca-key', join(folder, 'ca.key')] as const;
    await cert('ca', '-name', 'bench', '-out-crt', ca[1], '-out-key', ca[3]);
    const address = (i: number) => `10.98.0.${i + 1}`;
    const last = hosts.length - 1;
    for (const [i, host] of hosts.entries()) {
      const own = folderFor(chain, host);
      const [crt, key] = [join(own, 'host.crt'), join(own, 'host.key')];
      await cert('sign', ...ca, '-name', host.name, '-ip', `${address(i)}/24`, '-out-crt', crt, '-out-key', key);
      const config = {
        pki: { ca: ca[1], cert: crt, key },
        static_host_map: i === last ? {} : { [address(last)]: [`${lineAddress(last, i)}:4242`] },
        lighthouse: { am_lighthouse: i === last, interval: 60, hosts: i === last ? [] : [address(last)] },
        listen: { host: '0.0.0.0', port: 4242 },
        tun: { dev: 'nebula1' },
        logging: { level: 'warning' },
        firewall: {
          outbound: [{ port: 'any', proto: 'any', host: 'any' }],
          inbound: [{ port: 'any', proto: 'any', host: 'any' }],
        },
      };
      const file = join(own, 'config.yml');
      writeFileSync(file, JSON.stringify(config)); // JSON is YAML
      daemons.start(host, ['nebula', '-config', file]);
    }
    await daemons.untilPing(hosts, address(last));
    return { addresses: hosts.map((_, i) => address(i)), pids: daemons.pids, stop: () => daemons.stop() };
  },
};
