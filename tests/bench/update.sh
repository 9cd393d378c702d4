#!/bin/sh
# Dynamic updates per second, signed with HMAC-SHA256, durable before the answer, from SENDERS (32) senders: bailiwick beside BIND, alternating
# runs, medians; and how soon after its answer a change is seen by queries.
#
#   sh tests/bench/update.sh [PATH-TO-BAILIWICK [PATH-TO-BENCH_UPDATE]]
#
# Environment: RUNS (5), SECONDS_EACH (5), SENDERS. Needs: bind9, dnsutils. Prints; judges nothing.
set -eu

bin=${1:-build/release/bailiwick}
bench_update=${2:-build/release/tests/bench/bench_update}
runs=${RUNS:-5}
seconds=${SECONDS_EACH:-5}
senders=${SENDERS:-32}
our_port=5397
bind_port=5398
https_port=5399
secret=BenchBenchBenchBenchBenchBenchBenchBenchBenc

for tool in named dig; do
    command -v "$tool" >/dev/null || { echo "update.sh: $tool is missing" >&2; exit 1; }
done
dir=$(mktemp -d)
pids=
stop() {
    for pid in $pids; do kill "$pid" 2>/dev/null || true; done
    wait
    rm -rf "$dir"
}
trap stop EXIT
trap 'exit 1' INT TERM HUP PIPE

mkdir "$dir/bind" "$dir/state"
cat >"$dir/bind/svc.test.zone" <<'ZONE'
$ORIGIN svc.test.
$TTL 60
@ SOA ca hostmaster 1 60 60 604800 5
@ NS ca
ca A 127.0.0.1
ZONE
cat >"$dir/named.conf" <<CONF
options { directory "$dir/bind"; listen-on port $bind_port { 127.0.0.1; }; listen-on-v6 { none; }; recursion no; pid-file none;
    session-keyfile "$dir/bind/session.key"; managed-keys-directory "$dir/bind"; dnssec-validation no; notify no; update-quota 1000; };
controls { };
key "bench" { algorithm hmac-sha256; secret "$secret"; };
zone "svc.test" { type primary; file "svc.test.zone"; allow-update { key bench; }; };
CONF
cat >"$dir/bailiwick.yaml" <<CONF
state_dir: $dir/state
hostname: ca.svc.test
addresses: [127.0.0.1]
listen:
  https: ["127.0.0.1:$https_port"]
  http: []
  dns: ["127.0.0.1:$our_port"]
zones: [{name: svc.test, ingress: [10.8.10.252]}]
delegate_zone: acme.svc.test
clients: [{name: bench, secret: $secret, names: ["*.svc.test"]}]
CONF
chmod 600 "$dir/bailiwick.yaml"
named -f -c "$dir/named.conf" >"$dir/named.log" 2>&1 &
pids="$pids $!"
"$bin" serve --config "$dir/bailiwick.yaml" >"$dir/bailiwick.log" 2>&1 &
pids="$pids $!"
for port in $bind_port $our_port; do
    n=0
    until dig @127.0.0.1 -p "$port" +tries=1 +time=1 +short svc.test SOA 2>/dev/null | grep -q hostmaster; do
        n=$((n + 1))
        [ $n -lt 30 ] || { echo "update.sh: no answer on port $port" >&2; cat "$dir"/*.log >&2; exit 1; }
        sleep 0.3
    done
done

measure() { # port name run
    "$bench_update" "$1" svc.test bench "$secret" "$seconds" "$senders" "r$3" >"$dir/out"
    echo "    $2: $(cat "$dir/out")"
    sed -n 's/^\([0-9]*\) updates.*/\1/p' "$dir/out" >>"$dir/figures-$2"
}
median() { sort -n "$1" | sed -n "$(((runs + 1) / 2))p"; }

echo "TSIG updates, $senders senders, $(nproc) CPUs shared with the driver"
r=0
while [ $r -lt "$runs" ]; do
    measure $our_port bailiwick $r
    measure $bind_port bind $r
    r=$((r + 1))
done
awk -v a="$(median "$dir/figures-bailiwick")" -v b="$(median "$dir/figures-bind")" \
    'BEGIN { printf "medians: bailiwick %d updates/s, bind %d updates/s: ratio %.2f of bind\n", a, b, a / b }'
