#!/bin/sh
# UDP answers per second: bailiwick beside Debian's Knot, the same names, the same dnsperf, alternating runs, medians.
#
#   sh tests/bench/dns.sh [PATH-TO-BAILIWICK]
#
# 1,000 names: A for each (ours is the ingress answer), and TXT at _acme-challenge.<name>: CNAME and the target's value in one
# answer on both sides. Environment: RUNS (5, per server), SECONDS_EACH (5), CLIENTS (16 sockets), OUTSTANDING (256).
# Needs: dnsperf, knot, dnsutils, curl. Prints both medians and the ratio; judges nothing.
set -eu

bin=${1:-build/release/bailiwick}
runs=${RUNS:-5}
seconds=${SECONDS_EACH:-5}
clients=${CLIENTS:-16}
outstanding=${OUTSTANDING:-256}
names=1000
our_port=5391
knot_port=5392
https_port=5393
secret=BenchBenchBenchBenchBenchBenchBenchBenchBenc

for tool in dnsperf knotd dig curl; do
    command -v "$tool" >/dev/null || { echo "dns.sh: $tool is missing" >&2; exit 1; }
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

value() { printf '%043d' "$1"; }

i=0
{
    echo '$ORIGIN svc.test.'
    echo '$TTL 60'
    echo '@ 5 SOA ca hostmaster 1 60 60 604800 5'
    echo '@ NS ca'
    echo 'ca A 127.0.0.1'
    while [ $i -lt $names ]; do
        echo "n$i A 10.8.10.252"
        echo "_acme-challenge.n$i CNAME n$i.svc.test.acme"
        echo "n$i.svc.test.acme 1 TXT \"$(value $i)\""
        echo "n$i.svc.test A" >>"$dir/queries"
        echo "_acme-challenge.n$i.svc.test TXT" >>"$dir/queries"
        i=$((i + 1))
    done
} >"$dir/svc.test.zone"

mkdir "$dir/knot" "$dir/state"
cat >"$dir/knot.conf" <<CONF
server:
    rundir: "$dir/knot"
    listen: 127.0.0.1@$knot_port
database:
    storage: "$dir/knot"
log:
  - target: stderr
    any: error
zone:
  - domain: svc.test
    file: "$dir/svc.test.zone"
    semantic-checks: off
CONF
cat >"$dir/bailiwick.yaml" <<CONF
state_dir: $dir/state
hostname: ca.svc.test
addresses: [127.0.0.1]
listen:
  https: ["127.0.0.1:$https_port"]
  http: ["127.0.0.1:$((https_port + 1))"]
  dns: ["127.0.0.1:$our_port"]
zones: [{name: svc.test, ingress: [10.8.10.252]}]
delegate_zone: acme.svc.test
clients: [{name: bench, secret: $secret, names: ["*.svc.test"]}]
CONF
chmod 600 "$dir/bailiwick.yaml"

wait_for() { # port
    n=0
    until dig @127.0.0.1 -p "$1" +tries=1 +time=1 +short svc.test SOA 2>/dev/null | grep -q hostmaster; do
        n=$((n + 1))
        [ $n -lt 20 ] || { echo "dns.sh: no answer on port $1" >&2; cat "$dir"/*.log >&2; exit 1; }
        sleep 0.3
    done
}
txt() { dig @127.0.0.1 -p "$1" +short "_acme-challenge.n$((names - 1)).svc.test" TXT; }

knotd -c "$dir/knot.conf" >"$dir/knot.log" 2>&1 &
pids="$pids $!"
"$bin" serve --config "$dir/bailiwick.yaml" >"$dir/bailiwick.log" 2>&1 &
pids="$pids $!"
wait_for "$knot_port"
wait_for "$our_port"
if ! txt "$our_port" | grep -q '"'; then
    i=0
    while [ $i -lt $names ]; do
        [ $i -eq 0 ] || echo next
        echo "url = https://127.0.0.1:$https_port/httpreq/present"
        echo 'insecure'
        echo 'silent'
        echo 'fail'
        echo 'show-error'
        echo "user = bench:$secret"
        echo 'header = "Content-Type: application/json"'
        printf 'data = "{\\"fqdn\\":\\"_acme-challenge.n%s.svc.test.\\",\\"value\\":\\"%s\\"}"\n' $i "$(value $i)"
        i=$((i + 1))
    done >"$dir/publish"
    curl --config "$dir/publish" >/dev/null
fi
for port in $our_port $knot_port; do
    txt "$port" | grep -q "$(value $((names - 1)))" || { echo "dns.sh: no TXT on port $port" >&2; exit 1; }
done

measure() { # port
    dnsperf -s 127.0.0.1 -p "$1" -d "$dir/queries" -l "$seconds" -c "$clients" -q "$outstanding" >"$dir/out"
    grep -q 'Response codes: *NOERROR [0-9]* (100.00%)' "$dir/out" || { cat "$dir/out" >&2; exit 1; }
    sed -n 's/.*Queries per second: *\([0-9]*\).*/\1/p' "$dir/out"
}
median() { sort -n "$1" | sed -n "$(((runs + 1) / 2))p"; }

r=0
while [ $r -lt "$runs" ]; do
    measure $our_port >>"$dir/ours"
    measure $knot_port >>"$dir/knots"
    r=$((r + 1))
done
ours=$(median "$dir/ours")
knots=$(median "$dir/knots")
echo "DNS over UDP, $names names, A and _acme-challenge TXT, $clients sockets, $outstanding outstanding, $(nproc) CPUs shared with dnsperf"
echo "bailiwick: $ours answers/s   (runs: $(tr '\n' ' ' <"$dir/ours"))"
echo "knot:      $knots answers/s   (runs: $(tr '\n' ' ' <"$dir/knots"))"
awk -v a="$ours" -v b="$knots" 'BEGIN { printf "ratio:     %.2f of knot\n", a / b }'
