#!/usr/bin/env bash
# Installs the real peers the tests talk to, from the distribution's packages. Does nothing when all are there.
set -euo pipefail
packages=()
need() { # command, package
  command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || packages+=("$2")
}
need ssh openssh-client
need sshd openssh-server
need rsync rsync
need git git
need ip iproute2
need setpriv util-linux
need nft nftables
need curl curl
need wg wireguard-tools
need wireguard-go wireguard-go
need jq jq
need dig bind9-dnsutils
need iperf3 iperf3
need qrencode qrencode
need zbarimg zbar-tools
[ -x "$(ls -d /usr/lib/postgresql/*/bin/initdb 2>/dev/null | tail -n 1)" ] || packages+=(postgresql)
[ -n "$(ls /usr/lib/*-linux-gnu/faketime/libfaketime.so.1 2>/dev/null)" ] || packages+=(libfaketime)
[ ${#packages[@]} -eq 0 ] && exit 0
if [ "$(id -u)" != 0 ]; then
  echo "Error: missing ${packages[*]}. Install them, for example: sudo apt-get install -y ${packages[*]}" >&2
  exit 1
fi
echo "Installing ${packages[*]} …"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# The packages' own services are not wanted: every server is private to a run.
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d
trap 'rm -f /usr/sbin/policy-rc.d' EXIT
apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
