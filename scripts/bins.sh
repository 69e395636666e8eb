#!/bin/sh
# Makes `npx weft` and `npx weftd` in this folder mean what was built here. npx by itself remembers for good what it found the
# first time, also when nothing was built yet, and the compiler writes files that cannot be executed.
set -eu
cd "$(dirname "$0")/.."
mkdir -p node_modules/.bin
for name in weft weftd; do
  chmod +x "dist/bin/$name.js"
  ln -sf "../../dist/bin/$name.js" "node_modules/.bin/$name"
done
