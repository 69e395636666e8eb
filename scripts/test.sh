#!/bin/sh
# npm test: installs what is missing, builds, lints, and runs everything within its budget.
set -eu
cd "$(dirname "$0")/.."
. scripts/path.sh
WEFT_TEST_STARTED=$(date +%s)
export WEFT_TEST_STARTED
sh scripts/prepare.sh
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  sh scripts/debian.sh iproute2 nftables iputils-ping procps curl babeld bird2 miniupnpd miniupnpc tcpdump tshark \
    iperf3 ethtool
fi
exec node --enable-source-maps dist/scripts/test.js "$@"
