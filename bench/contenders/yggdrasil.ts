import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Contender, Daemons, folderFor } from '../contender.js';
import { debianVersion } from '../versions.js';

/** yggdrasil with its own defaults; each host dials the one before it over TLS, which is its usual link. */
export const yggdrasil: Contender = {
  name: 'yggdrasil',
  version: () => debianVersion('yggdrasil'),
  relays: true,
  async start(chain) {
    const { hosts, lineAddress } = chain;
    const daemons = new Daemons();
    const addresses: string[] = [];
    for (const [i, host] of hosts.entries()) {
      const fresh = JSON.parse(spawnSync('yggdrasil', ['-genconf', '-json'], { encoding: 'utf8' }).stdout);
      const config = {
        ...fresh,
        Listen: ['tls://0.0.0.0:4243'],
        Peers: i === 0 ? [] : [`tls://${lineAddress(i - 1, i)}:4243`],
        MulticastInterfaces: [],
        AdminListen: 'none',
        IfName: 'ygg0',
      };
      const file = join(folderFor(chain, host), 'yggdrasil.conf');
      writeFileSync(file, JSON.stringify(config));
      addresses.push(spawnSync('yggdrasil', ['-useconffile', file, '-address'], { encoding: 'utf8' }).stdout.trim());
      daemons.start(host, ['yggdrasil', '-useconffile', file]);
    }
    await daemons.untilPing(hosts, addresses.at(-1)!);
    return { addresses, pids: daemons.pids, stop: () => daemons.stop() };
  },
};
