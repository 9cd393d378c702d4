#!/bin/sh
# Figures beside their peers: issuances against Debian's Pebble, DNS answers against Debian's Knot, updates against BIND. Prints; judges nothing.
# Run it on an otherwise idle machine: sh tests/bench/run.sh
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/tests/install.sh"
mkdir -p "$root/build/logs"
# shellcheck disable=SC2086 # lists of words
bw_install "$root/build/logs/bench-packages.log" $BW_BUILD_PACKAGES bind9 binutils curl dnsperf dnsutils knot libcmocka-dev openssl pebble
cd "$root"
cmake --preset release -DBW_BENCH=ON >"$root/build/logs/bench-build.log" &&
    cmake --build build/release >>"$root/build/logs/bench-build.log" || { tail -n 20 "$root/build/logs/bench-build.log" >&2; exit 1; }
bw_say "issuances"
sh tests/bench/issue.sh build/release/bailiwick build/release/tests/bench/bench_issue
bw_say "DNS answers"
sh tests/bench/dns.sh build/release/bailiwick build/release/tests/bench/bench_dns
bw_say "many records"
sh tests/bench/records.sh build/release/bailiwick
bw_say "dynamic updates"
sh tests/bench/update.sh build/release/bailiwick build/release/tests/bench/bench_update
