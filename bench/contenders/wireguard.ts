import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../../lab/until.js';
import { type Contender, Daemons, folderFor } from '../contender.js';
import { debianRelease, debianVersion } from '../versions.js';

const debian13 = join(import.meta.dirname, '..', 'debian-13');

function wg(words: readonly string[], input = ''): string {
  return spawnSync('wg', words, { input, encoding: 'utf8' }).stdout.trim();
}

/** wireguard-go, WireGuard in user space, of one Debian release; configured by hand, as it comes. */
function wireguardGo(name: string, binary: string, version: () => string | undefined, fetch?: () => void): Contender {
  return {
    name,
    version() {
      fetch?.();
      return existsSync(binary) && existsSync('/usr/bin/wg') ? version() : undefined;
    },
    relays: false,
    async start(chain) {
      const { hosts, lineAddress } = chain;
      const daemons = new Daemons();
      const keys = hosts.map(() => wg(['genkey']));
      // The control socket is named after the interface, in a folder that all namespaces share.
      const device = (i: number) => `wgbench${i}`;
      const address = (i: number) => `fd99::${i + 1}`;
      const socketOf = (i: number) => `/var/run/wireguard/${device(i)}.sock`;
      // One that was killed leaves its socket behind, which nobody answers.
      const forget = () => {
        for (const i of hosts.keys()) rmSync(socketOf(i), { force: true });
      };
      const stop = () => daemons.stop().finally(forget);
      forget();
      try {
        for (const [i, host] of hosts.entries()) {
          daemons.start(host, [binary, '--foreground', device(i)], { WG_PROCESS_FOREGROUND: '1' });
          await until(
            `${device(i)} answers`,
            () => existsSync(socketOf(i)) && wg(['show', device(i), 'listen-port']) !== '',
            (answers) => answers,
            5000,
          );
          const file = join(folderFor(chain, host), 'key');
          writeFileSync(file, keys[i]!, { mode: 0o600 });
          const other = 1 - i;
          await host.namespace.must([
            ...['wg', 'set', device(i), 'private-key', file, 'listen-port', '51820'],
            ...['peer', wg(['pubkey'], keys[other]!), 'allowed-ips', `${address(other)}/128`],
            ...['endpoint', `${lineAddress(other, i)}:51820`],
          ]);
          await host.namespace.must(['ip', 'addr', 'add', `${address(i)}/64`, 'dev', device(i), 'nodad']);
          await host.namespace.must(['ip', 'link', 'set', device(i), 'up', 'mtu', '1420']);
        }
        await daemons.untilPing(hosts, address(1));
      } catch (error) {
        await stop();
        throw error;
      }
      return { addresses: hosts.map((_, i) => address(i)), pids: daemons.pids, stop };
    },
  };
}

/** Where another release is installed, there is none of this name. */
export const wireguardGo12 = wireguardGo('wireguard-go (Debian 12)', '/usr/bin/wireguard-go', () =>
  debianRelease() === 'Debian 12' ? debianVersion('wireguard-go') : undefined,
);

const unpacked13 = join(debian13, 'wireguard-go');

export const wireguardGo13 = wireguardGo(
  'wireguard-go (Debian 13)',
  join(unpacked13, 'usr/bin/wireguard-go'),
  () => `${readFileSync(join(unpacked13, 'version'), 'utf8').trim()} (Debian 13)`,
  () => spawnSync('sh', ['bench/debian-13.sh', 'wireguard-go', debian13], { stdio: 'ignore' }),
);
