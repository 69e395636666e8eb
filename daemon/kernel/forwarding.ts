import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { MeshError } from '../../src/errors.js';

const root = '/proc/sys/net';

/**
 * Switches forwarding on between these devices: for IPv4 on them alone; IPv6 knows one switch for the whole machine. A
 * machine that forwards IPv6 stops listening to router advertisements where accept_ra is 1, and would lose its own way out:
 * so accept_ra becomes 2 there first. Gives what was changed as "net.ipv6.conf.all.forwarding = 1"; throws MeshError
 * "forwarding-off" where the kernel's settings may not be written.
 */
export function enableForwarding(devices: readonly string[]): readonly string[] {
  const changed: string[] = [];
  const set = (path: string, value: string) => {
    try {
      if (read(path) === value) return;
      writeFileSync(`${root}/${path}`, `${value}\n`);
      changed.push(`${settingName(path)} = ${value}`);
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code;
      if (code === 'ENOENT') return; // the device went away, or the family is not there
      throw new MeshError(
        'forwarding-off',
        `${settingName(path)} is not ${value} and may not be written (${code}): the LAN is cut off from the overlay`,
        `run as root once: sysctl -w ${settingName(path)}=${value}`,
        { cause },
      );
    }
  };
  if (read('ipv6/conf/all/forwarding') === '0') {
    for (const device of readdirSync(`${root}/ipv6/conf`)) {
      if (device !== 'all' && read(`ipv6/conf/${device}/accept_ra`) === '1') set(`ipv6/conf/${device}/accept_ra`, '2');
    }
    set('ipv6/conf/all/forwarding', '1');
  }
  for (const device of devices) set(`ipv4/conf/${device}/forwarding`, '1');
  return changed;
}

function read(path: string): string {
  try {
    return readFileSync(`${root}/${path}`, 'utf8').trim();
  } catch {
    return ''; // a device that is gone
  }
}

function settingName(path: string): string {
  const [family, , device, name] = path.split('/');
  return `net.${family}.conf.${device!.replaceAll('.', '/')}.${name}`;
}
