#!/bin/sh
# Answers per second over UDP and TCP, and latency under load: bailiwick beside Debian's Knot, the same names, the same driver, alternating
# runs, medians.
#
#   sh tests/bench/dns.sh [PATH-TO-BAILIWICK [PATH-TO-BENCH_DNS]]
#
# 1,000 names: A for each (ours is the ingress answer), and TXT at _acme-challenge.<name>: CNAME and the target's value in one
# answer on both sides. Environment: RUNS (5, per server), SECONDS_EACH (5), CLIENTS (16 sockets), OUTSTANDING (256).
# Needs: dnsperf, knot, dnsutils, curl. Prints medians and ratios; judges nothing.
set -eu

bin=${1:-build/release/bailiwick}
bench_dns=${2:-build/release/tests/bench/bench_dns}
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

measure() { # port mode
    dnsperf -m "$2" -s 127.0.0.1 -p "$1" -d "$dir/queries" -l "$seconds" -c "$clients" -q "$outstanding" >"$dir/out" 2>&1
    grep -q 'Response codes: *NOERROR [0-9]* (100.00%)' "$dir/out" || { cat "$dir/out" >&2; exit 1; }
    sed -n 's/.*Queries per second: *\([0-9]*\).*/\1/p' "$dir/out"
}
p99() { # port
    "$bench_dns" "$1" "$dir/queries" "$seconds" "$clients" $((outstanding / clients)) | sed -n 's/.* p99 \([0-9.]*\) ms.*/\1/p'
}
median() { sort -n "$1" | sed -n "$(((runs + 1) / 2))p"; }
report() { # title unit file-suffix
    echo "$1: bailiwick $(median "$dir/ours-$3") $2 (runs: $(tr '\n' ' ' <"$dir/ours-$3")), knot $(median "$dir/knots-$3") $2 (runs: $(tr '\n' ' ' <"$dir/knots-$3"))"
    awk -v a="$(median "$dir/ours-$3")" -v b="$(median "$dir/knots-$3")" 'BEGIN { printf "    ratio %.2f of knot\n", a / b }'
}

r=0
while [ $r -lt "$runs" ]; do
    for mode in udp tcp; do
        measure $our_port $mode >>"$dir/ours-$mode"
        measure $knot_port $mode >>"$dir/knots-$mode"
    done
    p99 $our_port >>"$dir/ours-p99"
    p99 $knot_port >>"$dir/knots-p99"
    r=$((r + 1))
done
echo "DNS, $names names, A and _acme-challenge TXT, $clients sockets, $outstanding outstanding, $(nproc) CPUs shared with the driver"
report "UDP" "answers/s" udp
report "TCP" "answers/s" tcp
report "UDP, p99 under that load" "ms" p99
