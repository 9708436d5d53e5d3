#!/bin/sh
# Installs what building and the guest machine take (Debian 12 or later, as root), and the packages that are named.
# Quick when nothing is missing.
set -eu

if ! command -v cargo >/dev/null; then
    echo 'install.sh: cargo is missing; install Rust 1.89 or later with rustup' >&2
    exit 1
fi

packages="gcc libc6-dev busybox-static iproute2 ipvsadm kmod nftables openssl qemu-system-x86 $*"

missing=
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done

# The guest's kernel is downloaded, never installed, so apt needs to know it as well.
if [ -n "$missing" ] || ! apt-cache show linux-image-cloud-amd64 >/dev/null 2>&1; then
    apt-get update -q
fi

if [ -n "$missing" ]; then
    # shellcheck disable=SC2086 # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
fi
