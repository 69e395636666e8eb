#!/bin/sh
# Installs what is missing and builds what is old. Safe to repeat; takes a second when there is nothing to do.
set -eu
cd "$(dirname "$0")/.."
node -e 'const [a, b] = process.versions.node.split(".").map(Number);
if (a < 20 || (a === 20 && b < 19)) {
  console.error(`weft: node ${process.versions.node} is too old; install Node.js 20.19 or newer`);
  process.exit(1);
}'
if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  echo "weft: installing npm packages" >&2
  npm ci --no-progress --loglevel=error >&2
  touch node_modules/.package-lock.json
fi
node node_modules/typescript/bin/tsc -p tsconfig.json
