#!/bin/sh
# npm start: installs and builds what is missing, then runs the daemon (see scripts/start.ts).
set -eu
cd "$(dirname "$0")/.."
. scripts/path.sh
sh scripts/prepare.sh
if [ "$(id -u)" = 0 ] && ! command -v ip >/dev/null && command -v apt-get >/dev/null; then
  sh scripts/debian.sh iproute2
fi
# The daemon stays small: see daemon/small-memory.ts.
export MALLOC_ARENA_MAX=1
exec node --max-semi-space-size=1 --v8-pool-size=1 dist/scripts/start.js "$@"
