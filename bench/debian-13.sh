#!/bin/sh
# Unpacks a package of Debian 13 beside the system, without installing it: sh bench/debian-13.sh PACKAGE FOLDER
# The mirror is the one this machine uses already; only the release differs. Does nothing when it is there. The package's
# version is left beside its files, as "version".
set -eu
package=$1
folder=$2
[ ! -e "$folder/$package/version" ] || exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mirror=$(apt-get indextargets --format '$(REPO_URI) $(COMPONENT)' 'Identifier: Packages' 'Origin: Debian' |
  awk '$2 == "main" && $1 !~ /security/ { print $1; exit }')
[ -n "$mirror" ] || { echo "no Debian mirror is configured here" >&2; exit 1; }
keys=/usr/share/keyrings/debian-archive-keyring.gpg
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$folder"
echo "deb [signed-by=$keys] $mirror trixie main" >"$work/sources.list"
apt_13() {
  apt-get -qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=- \
    -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" "$@"
}
cd "$work"
apt_13 update
apt_13 download "$package"
dpkg-deb -x "$package"_*.deb unpacked
dpkg-deb --field "$package"_*.deb Version >unpacked/version
rm -rf "${folder:?}/$package"
mv unpacked "$folder/$package"
