import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** The Debian release that is installed, as "Debian 12"; another system's own name and version. */
export function debianRelease(): string {
  const text = readFileSync('/etc/os-release', 'utf8');
  const field = (name: string) => new RegExp(`^${name}="?([^"\n]*)"?$`, 'm').exec(text)?.[1] ?? '';
  return `${field('NAME').split(' ')[0]} ${field('VERSION_ID')}`.trim();
}

/** The installed version of a Debian package, or undefined. */
export function debianVersion(name: string): string | undefined {
  const { stdout } = spawnSync('dpkg-query', ['--status', name], { encoding: 'utf8' });
  const version = /^Version: (.*)$/m.exec(stdout)?.[1];
  return version && `${version} (${debianRelease()})`;
}
