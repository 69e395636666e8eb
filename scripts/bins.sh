#!/bin/sh
# Makes `npx weft` and `npx weftd` in this folder mean what was built here. npx by itself remembers for good what it found the
# first time, also when nothing was built yet, and the compiler writes files that cannot be executed.
set -eu
cd "$(dirname "$0")/.."
mkdir -p node_modules/.bin
for name in weft weftd; do
  file="dist/bin/$name.js"
  link="node_modules/.bin/$name"
  # Who does not own the folder may use what its owner built.
  [ -x "$file" ] || chmod +x "$file"
  [ "$(readlink "$link")" = "../../$file" ] || ln -sf "../../$file" "$link"
done
