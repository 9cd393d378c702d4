#!/bin/sh
# From a fresh Debian 12 to a wildcard certificate: installs packages, builds, starts the appliance on unprivileged ports of
# 127.0.0.1, and has Debian's lego obtain demo.test and *.demo.test from it. Beside Debian packages nothing of this machine
# is changed; all files are in build/.
set -eu

usage()
{
    cat <<'END'
usage: sh image/quickstart.sh [--once] [--state DIR]
  --once       stop the appliance when the certificate is verified (otherwise it runs until Ctrl-C)
  --state DIR  keep the appliance's data there (default: build/quickstart-state)
END
}

root=$(cd "$(dirname "$0")/.." && pwd)
state=$root/build/quickstart-state
once=no
while [ $# -gt 0 ]; do
    case $1 in
    --once) once=yes ;;
    --state)
        [ $# -ge 2 ] || { usage >&2; exit 2; }
        state=$2
        shift
        ;;
    --help | -h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
    esac
    shift
done

. "$root/tests/install.sh"

https=8443
http=8080
dns=8053
build=$root/build/quickstart
server=""

# Is a socket bound to this port already? /proc/net needs no package.
port_is_used()
{
    awk -v port=":$(printf '%04X' "$1")\$" -v tcp="$2" 'FNR > 1 && $2 ~ port && (!tcp || $4 == "0A") { found = 1 } END { exit !found }' \
        "/proc/net/$3" "/proc/net/${3}6" 2>/dev/null
}

stop_server()
{
    if [ -n "$server" ]; then
        kill -TERM "$server" 2>/dev/null || :
        wait "$server" 2>/dev/null || :
        server=""
    fi
}
trap stop_server EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

for port in $https $http $dns; do
    if port_is_used "$port" 1 tcp || { [ "$port" = $dns ] && port_is_used "$port" 0 udp; }; then
        bw_fail "Port $port of this machine is in use (an earlier quickstart?). Stop what listens there and run this again."
    fi
done

mkdir -p "$build" "$state"
state=$(cd "$state" && pwd)

bw_say "1/5 packages"
# shellcheck disable=SC2086 # lists of words
bw_install "$build/packages.log" $BW_BUILD_PACKAGES $BW_DEMO_PACKAGES

bw_say "2/5 build (release)"
{
    cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_C_COMPILER=gcc -DBW_TESTS=OFF -DBW_WERROR=OFF &&
        cmake --build "$build" --target bailiwick
} >"$build/build.log" 2>&1 || { tail -n 30 "$build/build.log" >&2; bw_fail "The build failed; all of it is in $build/build.log."; }

bw_say "3/5 start: https $https, http $http, dns $dns on 127.0.0.1, data in $state"
umask 077
[ -s "$state/secret" ] || openssl rand -hex 22 >"$state/secret"
secret=$(cat "$state/secret")
cat >"$state/bailiwick.yaml" <<END
state_dir: "$state/data"
hostname: ca.demo.test
addresses: [127.0.0.1]
public_url: https://127.0.0.1:$https
listen:
  https: ["127.0.0.1:$https"]
  http: ["127.0.0.1:$http"]
  dns: ["127.0.0.1:$dns"]
zones:
  - name: demo.test
    ingress: [127.0.0.1]
clients:
  - name: demo
    secret_file: "$state/secret"
    names: ["demo.test", "*.demo.test"]
END
mkdir -p "$state/data"
"$build/bailiwick" serve --config "$state/bailiwick.yaml" </dev/null >"$state/bailiwick.log" 2>&1 &
server=$!

# Waits for the first answer; ends early when the server ends.
waited=0
until curl -sf --max-time 5 -o "$state/root.pem" "http://127.0.0.1:$http/root.pem"; do
    if ! kill -0 "$server" 2>/dev/null; then
        wait "$server" 2>/dev/null || :
        server=""
        cat "$state/bailiwick.log" >&2
        bw_fail "The appliance ended at once; its own words are above."
    fi
    [ $waited -lt 300 ] || bw_fail "The appliance did not answer within a minute; see $state/bailiwick.log."
    waited=$((waited + 1))
    sleep 0.2
done

bw_say "4/5 lego obtains demo.test and *.demo.test"
echo "         (--dns.resolvers and --dns.disable-cp only because DNS is on port $dns here: lego asks a zone's servers on port 53)"
if ! LEGO_CA_CERTIFICATES="$state/root.pem" SSL_CERT_FILE="$state/root.pem" \
    HTTPREQ_ENDPOINT="https://127.0.0.1:$https/httpreq" HTTPREQ_USERNAME=demo HTTPREQ_PASSWORD="$secret" \
    lego --accept-tos --email admin@demo.test --server "https://127.0.0.1:$https/acme/directory" --path "$state/lego" \
    --dns httpreq --dns.resolvers "127.0.0.1:$dns" --dns.disable-cp \
    --domains demo.test --domains '*.demo.test' run >"$state/lego.log" 2>&1 </dev/null; then
    tail -n 20 "$state/lego.log" >&2
    tail -n 20 "$state/bailiwick.log" >&2
    bw_fail "lego did not get the certificate; its words and the appliance's are above."
fi

chain=$state/lego/certificates/demo.test.crt
bw_say "5/5 openssl verify"
openssl verify -CAfile "$state/root.pem" -untrusted "$chain" "$chain" || bw_fail "The chain does not verify."
names=$(openssl x509 -in "$chain" -noout -ext subjectAltName)
printf '%s\n' "$names"
openssl x509 -in "$chain" -noout -issuer -enddate
case $names in
*"DNS:*.demo.test"*) ;;
*) bw_fail "The certificate does not name *.demo.test." ;;
esac
bw_say "done: the certificate is $chain"

if [ $once = yes ]; then
    pid=$server
    server=""
    kill -TERM "$pid"
    wait "$pid" || bw_fail "The appliance did not end cleanly; see $state/bailiwick.log."
    exit 0
fi

cat <<END

The appliance runs until Ctrl-C. Things to try from another terminal:
  trust it:       $state/root.pem is the root to install (or: curl http://127.0.0.1:$http/root.pem)
  look at it:     $build/bailiwick status --config $state/bailiwick.yaml
  add a client:   $build/bailiwick client add --help
  ask its DNS:    dig @127.0.0.1 -p $dns _acme-challenge.any.name.demo.test TXT
Its directory is https://127.0.0.1:$https/acme/directory, its log $state/bailiwick.log.
END
trap 'stop_server; echo; echo "stopped"; exit 0' INT
if wait "$server"; then
    server=""
    bw_fail "The appliance ended by itself; see $state/bailiwick.log."
else
    code=$?
    server=""
    bw_fail "The appliance ended by itself with $code; see $state/bailiwick.log."
fi
