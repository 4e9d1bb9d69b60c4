#!/usr/bin/env bash
# Installs Debian packages where they are missing (root is needed then): those named, else all that test/interop talks to.
set -euo pipefail

packages=(
  python3-scapy python3-cryptography # an independent encoder and decoder of ESP and AH
  iproute2 nftables tcpdump tshark
  charon-systemd strongswan-swanctl libstrongswan-standard-plugins libstrongswan-extra-plugins
  libcharon-extra-plugins # kernel-libipsec
  python3-cryptography-vectors # the NIST CAVP files
)

[ $# -eq 0 ] || packages=("$@")

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ]; then
  echo "install-peers: needs root for: apt-get install ${missing[*]}" >&2
  exit 1
fi
echo "install-peers: installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
