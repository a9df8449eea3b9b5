#!/bin/sh
# Installs Tidegate from this folder, as root. Nothing that is there already is overwritten but the programs, their
# pages and the unit; gateway.toml and /var/lib/tidegate stay.
#
#   ./install.sh              to /, with the user tidegate and the unit enabled where systemd runs
#   ./install.sh --remove     takes the programs away again; configuration and state stay
#   DESTDIR=/mnt ./install.sh into a tree, without user and unit enabled
set -eu
cd "$(dirname "$0")"
root=${DESTDIR:-}
live=
if [ -z "$root" ] && [ -d /run/systemd/system ]; then live=1; fi

if [ "${1:-}" = --remove ]; then
    if [ -n "$live" ]; then systemctl disable --now tidegated.service || true; fi
    (cd usr && find . ! -type d) | while read -r file; do rm -f "$root/usr/$file"; done
    if [ -n "$live" ]; then systemctl daemon-reload; fi
    exit
fi

(cd usr && find . ! -type d) | while read -r file; do
    mkdir -p "$root/usr/$(dirname "$file")"
    # Another name first: a program that runs cannot be written to.
    cp -P "usr/$file" "$root/usr/$file.new"
    mv "$root/usr/$file.new" "$root/usr/$file"
done
mkdir -p "$root/etc/tidegate"
if [ ! -e "$root/etc/tidegate/gateway.toml" ]; then cp etc/tidegate/gateway.toml "$root/etc/tidegate/gateway.toml"; fi
if [ -n "$root" ]; then exit; fi

if ! getent group tidegate >/dev/null; then groupadd --system tidegate; fi
if ! getent group gpio >/dev/null; then groupadd --system gpio; fi
if ! getent passwd tidegate >/dev/null; then
    useradd --system --gid tidegate --home-dir /var/lib/tidegate --no-create-home --shell /usr/sbin/nologin tidegate
fi
mkdir -p /var/lib/tidegate
chown tidegate:tidegate /var/lib/tidegate
chmod 0700 /var/lib/tidegate
if [ -n "$live" ]; then
    # udev may have read the rule before there was a group gpio, and reads only files again that have changed.
    touch /usr/lib/udev/rules.d/60-tidegate.rules
    udevadm control --reload || true
    udevadm trigger --settle --subsystem-match=gpio || true
    systemctl daemon-reload
    systemctl enable tidegated.service
    systemctl restart tidegated.service
fi
