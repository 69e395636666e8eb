import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Contender, Daemons, folderFor } from '../contender.js';
import { debianVersion } from '../versions.js';

/** tinc 1.0 with its own defaults; each host connects to the one before it, and knows the keys of all. */
export const tinc: Contender = {
  name: 'tinc',
  version: () => debianVersion('tinc'),
  relays: true,
  async start(chain) {
    const { hosts, lineAddress } = chain;
    const daemons = new Daemons();
    const address = (i: number) => `fd97::${i + 1}`;
    const keys = hosts.map(() =>
      generateKeyPairSync('rsa', {
        modulusLength: 2048,
        publicExponent: 65537,
        publicKeyEncoding: { type: 'pkcs1', format: 'pem' },
        privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
      }),
    );
    for (const [i, host] of hosts.entries()) {
      const folder = folderFor(chain, host);
      mkdirSync(join(folder, 'hosts'));
      const connect = i === 0 ? [] : [`ConnectTo = ${hosts[i - 1]!.name}`];
      writeFileSync(
        join(folder, 'tinc.conf'),
        [`Name = ${host.name}`, 'Interface = tinc0', 'AddressFamily = ipv4', ...connect, ''].join('\n'),
      );
      writeFileSync(join(folder, 'rsa_key.priv'), keys[i]!.privateKey, { mode: 0o600 });
      for (const [j, other] of hosts.entries()) {
        const where = Math.abs(i - j) === 1 ? [`Address = ${lineAddress(j, i)}`] : [];
        writeFileSync(
          join(folder, 'hosts', other.name),
          [...where, `Subnet = ${address(j)}/128`, keys[j]!.publicKey].join('\n'),
        );
      }
      const up = `#!/bin/sh\nip addr add ${address(i)}/64 dev "$INTERFACE" nodad\nip link set "$INTERFACE" up\n`;
      writeFileSync(join(folder, 'tinc-up'), up, { mode: 0o755 });
      daemons.start(host, ['tincd', '-D', '-c', folder, `--pidfile=${join(folder, 'pid')}`]);
    }
    await daemons.untilPing(hosts, address(hosts.length - 1));
    return { addresses: hosts.map((_, i) => address(i)), pids: daemons.pids, stop: () => daemons.stop() };
  },
};
