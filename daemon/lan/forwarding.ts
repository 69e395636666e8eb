import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

/** One kernel setting that was changed, and what it was. */
export interface SettingChange {
  readonly setting: string;
  readonly from: string;
  readonly to: string;
}

const root = '/proc/sys/net';

/**
 * Switches on forwarding of both families, as a gateway between a LAN and the overlay must. Called only where the operator
 * asked for it; the returned list is what to tell them, and what `restoreSettings` undoes.
 *
 * accept_ra goes to 2 first: a forwarding host stops listening to router advertisements (accept_ra 1), which would take away
 * the machine's own default route.
 */
export function switchOnForwarding(): SettingChange[] {
  const changes: SettingChange[] = [];
  for (const device of readdirSync(`${root}/ipv6/conf`)) {
    if (read(`ipv6/conf/${device}/accept_ra`) === '1') change(`ipv6/conf/${device}/accept_ra`, '2', changes);
  }
  change('ipv6/conf/all/forwarding', '1', changes);
  change('ipv4/ip_forward', '1', changes);
  return changes;
}

/** Puts the settings back, last changed first. */
export function restoreSettings(changes: readonly SettingChange[]): void {
  for (const { setting, from } of [...changes].reverse()) {
    if (read(setting) !== undefined) writeFileSync(`${root}/${setting}`, from);
  }
}

/** True where packets of both families are forwarded already. */
export function isForwarding(): boolean {
  return read('ipv6/conf/all/forwarding') === '1' && read('ipv4/ip_forward') === '1';
}

function change(setting: string, to: string, changes: SettingChange[]): void {
  const from = read(setting);
  if (from === undefined || from === to) return;
  writeFileSync(`${root}/${setting}`, to);
  changes.push({ setting, from, to });
}

function read(setting: string): string | undefined {
  try {
    return readFileSync(`${root}/${setting}`, 'utf8').trim();
  } catch {
    return undefined; // no such device or family any more
  }
}
