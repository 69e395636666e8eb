import { spawnSync } from 'node:child_process';

/** The Debian packages a world is made with. */
const packages = ['iproute2', 'nftables', 'iputils-ping', 'procps', 'curl', 'miniupnpd', 'iperf3'];

/**
 * Installs what the lab needs, and more Debian packages where named, as root on Debian and Ubuntu; otherwise says what
 * is missing, and ends the process.
 */
export function requireLab(more: readonly string[] = []): void {
  const wanted = [...packages, ...more];
  if (process.getuid?.() !== 0) {
    console.error('the lab makes network namespaces: run it as root, for example with sudo');
    process.exit(1);
  }
  const { status } = spawnSync('sh', ['scripts/debian.sh', ...wanted], { stdio: ['ignore', 'ignore', 'inherit'] });
  if (status !== 0) {
    console.error(`the lab needs: ${wanted.join(' ')}`);
    process.exit(1);
  }
}
