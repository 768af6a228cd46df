#!/usr/bin/env bash
# Install what the tests need of the machine, from Debian's packages, where we are root and it is absent:
# Chromium for the browser tests, a Docker engine and OpenMP, which LightGBM does not bring.
set -euo pipefail

missing=()
command -v chromium >/dev/null || missing+=(chromium)
command -v dockerd >/dev/null || [ -S /var/run/docker.sock ] || missing+=(docker.io iptables)
ldconfig -p 2>/dev/null | grep -q libgomp.so.1 || missing+=(libgomp1)
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "The tests need: ${missing[*]}. Install them, then run this again." >&2
  exit 1
fi
echo "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
