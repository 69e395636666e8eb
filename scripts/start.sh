#!/bin/sh
# npm start: installs and builds what is missing, then runs the daemon (see scripts/start.ts).
set -eu
cd "$(dirname "$0")/.."
. scripts/path.sh
sh scripts/prepare.sh
exec node --enable-source-maps dist/scripts/start.js "$@"
