#!/bin/sh
# The root file system of the image, of Debian's packages alone: a Python, what it and other packages link to, tini, time zones. No shell, no apt.
# Usage: root.sh FOLDER [PACKAGE...], as root, in the Debian whose packages it takes.
set -eu
root=$1
shift
python=python3.11
debs=$(mktemp -d)
mkdir -p "$root" "$debs/partial"

# What these need, and what that needs, as if nothing were installed
apt-get -o Dir::State::status=/dev/null -o Dir::Cache::archives="$debs" -o Debug::NoLocking=1 \
    -qq -y --no-install-recommends --download-only install "$python" libstdc++6 tini tzdata ca-certificates "$@"
# These install packages, or configure them: nothing is, in the image
rm -f "$debs"/dpkg_* "$debs"/tar_* "$debs"/debconf_* "$debs"/perl* "$debs"/openssl_*

for folder in bin lib lib64 sbin; do
    mkdir -p "$root/usr/$folder"
    ln -s "usr/$folder" "$root/$folder"
done
mkdir -p "$root/var/lib/dpkg/status.d"
for deb in "$debs"/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$root"
    # where scanners of images look for what is in one without dpkg
    dpkg-deb --field "$deb" >"$root/var/lib/dpkg/status.d/$(dpkg-deb --field "$deb" Package)"
done
rm -rf "$debs"

find "$root/usr/share/doc" -type f ! -name copyright -delete
find "$root/usr/share/doc" -type d -empty -delete
rm -rf "$root/usr/share/man" "$root/usr/share/locale" "$root/usr/share/lintian" "$root/usr/share/info" "$root/usr/share/bash-completion"
# Nothing asks libc for other character sets (Python has its own), for zones with leap seconds, or Python for its language reference
rm -rf "$root"/usr/lib/*/gconv "$root/usr/share/zoneinfo/right" "$root/usr/lib/$python/pydoc_data"
"$python" -m compileall -q --invalidation-mode checked-hash -s "$root" "$root/usr/lib/$python" >/dev/null || true # lib2to3 has files that are none

# Certificates as update-ca-certificates would lay them
mkdir -p "$root/etc/ssl/certs"
find "$root/usr/share/ca-certificates" -name '*.crt' | sort | xargs cat >"$root/etc/ssl/certs/ca-certificates.crt"

mkdir -p "$root/etc" "$root/proc" "$root/sys" "$root/dev" "$root/run" "$root/station"
mkdir -m 1777 "$root/tmp"
user=10001
printf 'root:x:0:0:root:/:/sbin/nologin\nrt-engine:x:%s:%s:rt-engine stations:/:/sbin/nologin\n' $user $user >"$root/etc/passwd"
printf 'root:x:0:\nrt-engine:x:%s:\n' $user >"$root/etc/group"
printf 'hosts: files dns\npasswd: files\ngroup: files\n' >"$root/etc/nsswitch.conf"
grep -E '^(PRETTY_NAME|NAME|VERSION|VERSION_ID|VERSION_CODENAME|ID)=' /etc/os-release >"$root/etc/os-release"
chown $user:$user "$root/station"
chmod 0700 "$root/station"
