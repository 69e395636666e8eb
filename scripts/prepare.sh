#!/bin/sh
# Installs what is missing and builds what is old. Safe to repeat; takes a second when there is nothing to do.
set -eu
cd "$(dirname "$0")/.."
node -e 'const [a, b] = process.versions.node.split(".").map(Number);
if (a < 20 || (a === 20 && b < 19)) {
  console.error(`weft: node ${process.versions.node} is too old; install Node.js 20.19 or newer`);
  process.exit(1);
}'
# What is installed is told by the lock file it was installed from, whatever the times of files in a copied folder.
installed=node_modules/.installed-package-lock.json
if ! cmp -s package-lock.json "$installed"; then
  echo "weft: installing npm packages (needs the Internet, once)" >&2
  npm ci --include=dev --no-progress --loglevel=error --prefer-offline --fetch-retries=1 --fetch-retry-mintimeout=1000 >&2 || {
    echo "weft: the npm packages could not be installed (the lines above say why); connect this machine to the Internet, or set npm's proxy or registry, then type the same again" >&2
    exit 1
  }
  cp package-lock.json "$installed"
fi
[ -e dist ] || echo "weft: building" >&2
node node_modules/typescript/bin/tsc -p tsconfig.json
sh scripts/bins.sh
