import { spawnSync } from 'node:child_process';

/** The installed version of a Debian package, or undefined. */
export function debianVersion(name: string, release: string): string | undefined {
  const { stdout } = spawnSync('dpkg-query', ['--status', name], { encoding: 'utf8' });
  const version = /^Version: (.*)$/m.exec(stdout)?.[1];
  return version && `${version} (${release})`;
}
