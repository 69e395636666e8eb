import { spawnSync } from 'node:child_process';

/** The Debian packages a world is made with. */
const packages = ['iproute2', 'nftables', 'iputils-ping', 'procps', 'curl', 'miniupnpd'];

/** Installs what the lab needs, as root on Debian and Ubuntu; otherwise says what is missing, and ends the process. */
export function requireLab(): void {
  if (process.getuid?.() !== 0) {
    console.error('the lab makes network namespaces: run it as root, for example with sudo');
    process.exit(1);
  }
  const { status } = spawnSync('sh', ['scripts/debian.sh', ...packages], { stdio: ['ignore', 'ignore', 'inherit'] });
  if (status !== 0) {
    console.error(`the lab needs: ${packages.join(' ')}`);
    process.exit(1);
  }
}
