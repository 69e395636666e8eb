import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';

const ipv6 = '/proc/sys/net/ipv6/conf';

/**
 * Lets the kernel forward between the LAN and the overlay, for gateways. A host that forwards stops listening to router
 * advertisements (and loses its default route when the last one expires) unless accept_ra is 2: that is set first. Returns
 * the sysctls that were changed, as "name=value", to be told to the operator: never silently. Throws what the system throws.
 */
export function enableForwarding(): string[] {
  const changed: string[] = [];
  const set = (file: string, value: string) => {
    if (!existsSync(file) || readFileSync(file, 'utf8').trim() === value) return;
    writeFileSync(file, `${value}\n`);
    changed.push(`${file.slice('/proc/sys/'.length).replaceAll('/', '.')}=${value}`);
  };
  for (const device of existsSync(ipv6) ? readdirSync(ipv6) : []) {
    const file = `${ipv6}/${device}/accept_ra`;
    if (existsSync(file) && readFileSync(file, 'utf8').trim() === '1') set(file, '2');
  }
  set(`${ipv6}/all/forwarding`, '1');
  set('/proc/sys/net/ipv4/ip_forward', '1');
  return changed;
}
