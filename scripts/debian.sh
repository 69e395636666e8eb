#!/bin/sh
# The Debian packages the tests need, installed as root where missing: sh scripts/debian.sh PACKAGE...
set -eu
missing=''
for package in "$@"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
echo "weft: installing Debian packages:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
# A package's own service must not start on the machine that runs the tests.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 || {
  apt-get update -qq >/dev/null
  apt-get install -y -qq --no-install-recommends $missing >/dev/null
} || {
  echo "weft: Debian packages could not be installed (the lines above say why); connect this machine to the Internet, or install them yourself:$missing" >&2
  exit 1
}
