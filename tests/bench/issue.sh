#!/bin/sh
# Issuances per second: bailiwick at 32 and at 8 clients by dns-01 and http-01, Debian's Pebble at 8 (it deadlocks above), in
# one run; dns-01 while 1,000 http-01 validations hang on a target that never answers; then what bailiwick weighs: idle memory, stripped size, time from an empty directory to the first answer.
#
#   sh tests/bench/issue.sh [PATH-TO-BAILIWICK [PATH-TO-BENCH_ISSUE]]
#
# Environment: SECONDS_EACH (10), RUNS (1), BENCH_DIR (/var/tmp: the state directory should be on the disk that counts).
# Build with: cmake --preset release -DBW_BENCH=ON && cmake --build --preset release
# Needs: pebble, openssl, curl, binutils. Prints figures; judges nothing. bailiwick is durable before it replies, Pebble keeps
# everything in memory; its sleeps and its refused nonces are turned off.
set -eu

bin=${1:-build/release/bailiwick}
driver=${2:-$(dirname "$bin")/tests/bench/bench_issue}
seconds=${SECONDS_EACH:-10}
runs=${RUNS:-1}
https_port=5401
http_port=5402
dns_port=5403
pebble_port=5404
pebble_management_port=5405
challenge_dns_port=5406
challenge_http_port=5407
validation_port=5408
secret=BenchBenchBenchBenchBenchBenchBenchBenchBenc

for tool in pebble pebble-challtestsrv openssl curl strip "$bin" "$driver"; do
    command -v "$tool" >/dev/null || { echo "issue.sh: $tool is missing" >&2; exit 1; }
done
dir=$(mktemp -d "${BENCH_DIR:-/var/tmp}/bw-bench-XXXXXX")
pids=
stop() {
    for pid in $pids; do kill "$pid" 2>/dev/null || true; done
    wait
    rm -rf "$dir"
}
trap stop EXIT
trap 'exit 1' INT TERM HUP PIPE

now_ms() { echo $(($(date +%s%N) / 1000000)); }

# answered URL PID: wait until URL answers; fails when PID ends or 30 s pass.
answered() {
    limit=$(($(now_ms) + 30000))
    until curl -sk -o "$dir/answer" "$1"; do
        kill -0 "$2" 2>/dev/null || { echo "issue.sh: it did not start:" >&2; tail -5 "$dir"/*.log >&2; exit 1; }
        [ "$(now_ms)" -lt "$limit" ] || { echo "issue.sh: no answer from $1" >&2; exit 1; }
        sleep 0.01
    done
    # Somebody else may have answered on a port that was taken.
    kill -0 "$2" 2>/dev/null || { echo "issue.sh: it did not start:" >&2; tail -5 "$dir"/*.log >&2; exit 1; }
}

# memory NAME PID
memory() {
    rss=$(awk '/^VmRSS:/ { print $2 }' "/proc/$2/status")
    anonymous=$(awk '/^Anonymous:/ { print $2 }' "/proc/$2/smaps_rollup")
    peak=$(awk '/^VmHWM:/ { print $2 }' "/proc/$2/status")
    awk -v name="$1" -v r="$rss" -v a="$anonymous" -v p="$peak" 'BEGIN {
        printf "%s: %.1f MiB resident, of which %.1f MiB anonymous; at most %.1f MiB so far\n", name, r / 1024, a / 1024, p / 1024 }'
}

ours() {
    clients=$1
    shift
    "$driver" --directory "https://localhost:$https_port/acme/directory" --ca "$dir/root.pem" \
        --publish-url "https://localhost:$https_port/httpreq/present" --user bench --password "$secret" \
        --save "$dir/chain.pem" --seconds "$seconds" --clients "$clients" "$@"
    openssl verify -CAfile "$dir/root.pem" -untrusted "$dir/chain.pem" "$dir/chain.pem" >/dev/null
}

theirs() {
    clients=$1
    shift
    "$driver" --directory "https://localhost:$pebble_port/dir" --ca "$dir/pebble.pem" --mode pebble \
        --publish-url "http://127.0.0.1:$challenge_http_port/set-txt" --seconds "$seconds" --clients "$clients" "$@"
}

mkdir "$dir/state"
started=$(now_ms)
env BAILIWICK_STATE_DIR="$dir/state" BAILIWICK_HOSTNAME=localhost BAILIWICK_ZONES=svc.test=127.0.0.1 \
    BAILIWICK_LISTEN_HTTPS="127.0.0.1:$https_port" BAILIWICK_LISTEN_HTTP="127.0.0.1:$http_port" \
    BAILIWICK_LISTEN_DNS="127.0.0.1:$dns_port" BAILIWICK_CLIENTS="bench:$secret:*.svc.test" \
    BAILIWICK_VALIDATION_HTTP_PORT="$validation_port" BAILIWICK_VALIDATION_ALLOW=127.0.0.0/8 \
    BAILIWICK_LOG_LEVEL=warn "$bin" serve --config /dev/null >"$dir/bailiwick.log" 2>&1 &
bailiwick=$!
pids="$pids $bailiwick"
answered "https://localhost:$https_port/acme/directory" "$bailiwick"
first_ms=$(($(now_ms) - started))
curl -s -o "$dir/root.pem" "http://127.0.0.1:$http_port/root.pem"
sleep 1
memory "bailiwick, idle after its start" "$bailiwick"
echo "empty directory to first answer (over HTTPS): $first_ms ms"
strip -o "$dir/stripped" "$bin"
echo "stripped binary: $(stat -c %s "$dir/stripped") bytes"

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout "$dir/pebble.key" -out "$dir/pebble.pem" 2>/dev/null
cat >"$dir/pebble.json" <<CONF
{"pebble": {"listenAddress": "127.0.0.1:$pebble_port", "managementListenAddress": "127.0.0.1:$pebble_management_port",
 "certificate": "$dir/pebble.pem", "privateKey": "$dir/pebble.key", "httpPort": $validation_port, "tlsPort": 5409,
 "ocspResponderURL": "", "externalAccountBindingRequired": false}}
CONF
pebble-challtestsrv -http01 "" -https01 "" -tlsalpn01 "" -dns01 "127.0.0.1:$challenge_dns_port" \
    -defaultIPv6 "" -management "127.0.0.1:$challenge_http_port" >"$dir/challtestsrv.log" 2>&1 &
challtestsrv=$!
pids="$pids $challtestsrv"
env PEBBLE_VA_NOSLEEP=1 PEBBLE_WFE_NONCEREJECT=0 PEBBLE_AUTHZREUSE=0 pebble -config "$dir/pebble.json" \
    -dnsserver "127.0.0.1:$challenge_dns_port" >/dev/null 2>"$dir/pebble.log" &
pebble=$!
pids="$pids $pebble"
answered "https://localhost:$pebble_port/dir" "$pebble"
memory "pebble, idle after its start" "$pebble"

run=0
while [ $run -lt "$runs" ]; do
    run=$((run + 1))
    echo
    echo "--- run $run of $runs: bailiwick, 32 clients, $seconds s"
    ours 32
    echo "--- run $run of $runs: bailiwick, 8 clients, $seconds s"
    ours 8
    echo "--- run $run of $runs: pebble, 8 clients, $seconds s"
    theirs 8 || echo "pebble did not get through (it can deadlock)"
    echo "--- run $run of $runs: bailiwick, http-01, 32 clients, $seconds s"
    ours 32 --http-port "$validation_port"
    echo "--- run $run of $runs: bailiwick, http-01, 8 clients, $seconds s"
    ours 8 --http-port "$validation_port"
    echo "--- run $run of $runs: pebble, http-01, 8 clients, $seconds s"
    theirs 8 --http-port "$validation_port" || echo "pebble did not get through (it can deadlock)"
done
echo
memory "bailiwick, after the load" "$bailiwick"
echo "--- bailiwick, 1 client by dns-01 while 1,000 http-01 validations hang, 8 s"
(sleep 5; memory "bailiwick, 1,000 validations hanging" "$bailiwick") &
watcher=$!
seconds=8
ours 1 --http-port "$validation_port" --pending 1000
wait "$watcher"
memory "bailiwick, after the load" "$bailiwick"
memory "pebble, after the load" "$pebble"
