#!/bin/sh
# Many stored records: how long they take to load, what they cost in memory, and answers per second beside a small zone and beside Knot.
#
#   sh tests/bench/records.sh [PATH-TO-BAILIWICK]
#
# A zone file with RECORDS A records (100,000; the soak is RECORDS=1000000), questions for random ones. Times are from the start of the program to
# its first DNS answer, less that of an empty zone: once when the file is new, once when it is known already. Environment: RECORDS, RUNS (5),
# SECONDS_EACH (5). Needs: dnsperf, knot, dnsutils. Prints; judges nothing.
set -eu

bin=${1:-build/release/bailiwick}
records=${RECORDS:-100000}
runs=${RUNS:-5}
seconds=${SECONDS_EACH:-5}
our_port=5394
knot_port=5395
https_port=5396

for tool in dnsperf knotd dig; do
    command -v "$tool" >/dev/null || { echo "records.sh: $tool is missing" >&2; exit 1; }
done
dir=$(mktemp -d)
ours=
knot=
stop_ours() { [ -z "$ours" ] || { kill "$ours"; wait "$ours" || true; ours=; }; }
stop() {
    stop_ours
    [ -z "$knot" ] || { kill "$knot"; wait "$knot" || true; }
    rm -rf "$dir"
}
trap stop EXIT
trap 'exit 1' INT TERM HUP PIPE

zone_file() { # records path
    awk -v n="$1" 'BEGIN { print "$ORIGIN big.test.\n$TTL 60\n@ SOA ns hostmaster 1 60 60 604800 5\n@ NS ns\nns A 127.0.0.1"
        for (i = 0; i < n; i++) printf "host%d A 10.%d.%d.%d\n", i, i / 65536 % 256, i / 256 % 256, i % 256 }' >"$2"
}
questions() { # records path
    awk -v n="$1" 'BEGIN { srand(1); for (i = 0; i < 100000; i++) printf "host%d.big.test A\n", int(rand() * n) }' >"$2"
}
configure() { # name
    mkdir -p "$dir/state-$1"
    cat >"$dir/$1.yaml" <<CONF
state_dir: $dir/state-$1
hostname: ca.svc.test
addresses: [127.0.0.1]
listen:
  https: ["127.0.0.1:$https_port"]
  http: []
  dns: ["127.0.0.1:$our_port"]
zones: [{name: svc.test, ingress: [10.8.10.252]}, {name: big.test, plain: true, file: $dir/$1.zone}]
CONF
}
now() { date +%s%N; }
ask() { # port: has it answered?
    dig @127.0.0.1 -p "$1" +tries=1 +time=1 +short big.test SOA 2>/dev/null | grep -q hostmaster
}
# Starts ours with configuration $1; $took: milliseconds until it answered.
start_ours() {
    begun=$(now)
    "$bin" serve --config "$dir/$1.yaml" >"$dir/$1.log" 2>&1 &
    ours=$!
    until ask "$our_port"; do
        kill -0 "$ours" 2>/dev/null || { cat "$dir/$1.log" >&2; exit 1; }
    done
    took=$((($(now) - begun) / 1000000))
}
resident() { awk '/^VmRSS/ { print $2 }' "/proc/$ours/status"; }
private() { awk '/^RssAnon/ { print $2 }' "/proc/$ours/status"; }
measure() { # port questions
    dnsperf -s 127.0.0.1 -p "$1" -d "$dir/$2.queries" -l "$seconds" -c 16 -q 256 >"$dir/out" 2>&1
    grep -q 'Response codes: *NOERROR [0-9]* (100.00%)' "$dir/out" || { cat "$dir/out" >&2; exit 1; }
    sed -n 's/.*Queries per second: *\([0-9]*\).*/\1/p' "$dir/out"
}
median() { sort -n "$1" | sed -n "$(((runs + 1) / 2))p"; }

for one in empty:0 small:1000 many:"$records"; do
    name=${one%%:*}
    zone_file "${one#*:}" "$dir/$name.zone"
    questions "${one#*:}" "$dir/$name.queries"
    configure "$name"
done
start_ours empty
stop_ours
start_ours empty
known_empty=$took
private_empty=$(private)
stop_ours
start_ours many
new_many=$took
private_new=$(private)
stop_ours
start_ours many
known_many=$took
private_many=$(private)
echo "$records records: first start (file read, rows written) $((new_many - known_empty)) ms, known file $((known_many - known_empty)) ms more than an empty zone's $known_empty ms"
echo "    memory: $(((private_many - private_empty) * 1024 / records)) octets a record ($(((private_new - private_empty) * 1024 / records)) after the first start)"

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
  - domain: big.test
    file: "$dir/many.zone"
    semantic-checks: off
CONF
mkdir "$dir/knot"
knotd -c "$dir/knot.conf" >"$dir/knot.log" 2>&1 &
knot=$!
until ask $knot_port; do sleep 0.3; done
r=0
while [ $r -lt "$runs" ]; do
    measure $our_port many >>"$dir/ours-many"
    measure $knot_port many >>"$dir/knot-many"
    stop_ours
    start_ours small
    measure $our_port small >>"$dir/ours-small"
    stop_ours
    start_ours many
    r=$((r + 1))
done
echo "UDP answers/s with $records records: bailiwick $(median "$dir/ours-many") (runs: $(tr '\n' ' ' <"$dir/ours-many")), knot $(median "$dir/knot-many"); bailiwick with 1,000: $(median "$dir/ours-small")"
awk -v a="$(median "$dir/ours-many")" -v b="$(median "$dir/ours-small")" -v c="$(median "$dir/knot-many")" \
    'BEGIN { printf "    ratio %.2f of our own with 1,000, %.2f of knot\n", a / b, a / c }'
