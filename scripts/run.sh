#!/bin/sh
# Prepares, then runs a built script: sh scripts/run.sh dist/lab/demo.js [arguments]
set -eu
cd "$(dirname "$0")/.."
. scripts/path.sh
sh scripts/prepare.sh
exec node --enable-source-maps "$@"
