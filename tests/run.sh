#!/bin/sh
# Everything that is tested: builds with gcc and clang (warnings are errors), lint, unit tests and corpus replay under
# AddressSanitizer + UndefinedBehaviorSanitizer and under ThreadSanitizer, then the end-to-end scenarios, each in network and
# mount namespaces of its own, against the sanitizer builds. Wants Debian 12 and root (or sudo).
set -eu

usage()
{
    cat <<'END'
usage: sh tests/run.sh [--clients]
  --clients  also install the clients of tests/clients.lock (PyPI) and of tests/drivers (built with Go and Rust) into
             build/clients and run their scenarios; fails where they cannot be had
END
}

root=$(cd "$(dirname "$0")/.." && pwd)
clients=no
for argument in "$@"; do
    case $argument in
    --clients) clients=yes ;;
    --help | -h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
    esac
done

. "$root/tests/install.sh"

logs=$root/build/logs
mkdir -p "$logs"
failed=""
python=/usr/bin/python3 # Debian's, which sees Debian's modules, whatever stands first in PATH
jobs=$(nproc)
asroot=""
[ "$(id -u)" -eq 0 ] || asroot="sudo --preserve-env=BW_BINARY"

# stage NAME FUNCTION: run it with its output in a log; on failure show the end of the log and go on.
stage()
{
    stage_started=$(date +%s)
    if "$2" >"$logs/$1.log" 2>&1; then
        bw_say "ok     $1 ($(($(date +%s) - stage_started)) s)"
    else
        bw_say "FAILED $1 ($(($(date +%s) - stage_started)) s); the end of $logs/$1.log:"
        tail -n 30 "$logs/$1.log"
        failed="$failed $1"
    fi
}

# Functions run by stage() join their commands with &&. gcc builds the release preset, clang the sanitizer presets: all of
# them with warnings as errors.
build_with()
{
    cmake --preset "$1" -S "$root" && cmake --build "$root/build/$1" -j "$jobs"
}
build_gcc() { build_with release; }
build_clang() { build_with clang; } # clang's warnings with optimisation and hardening on, which the sanitizer builds lack
build_asan() { build_with asan; }
build_tsan() { build_with tsan; }

sources()
{
    find "$root"/core "$root"/ca "$root"/dns "$root"/acme-server "$root"/web "$root"/bailiwick "$root"/tests -name '*.[ch]' | sort
}
lint_format()
{
    # shellcheck disable=SC2046 # our file names have no blanks
    clang-format --dry-run -Werror $(sources)
}
lint_tidy()
{
    run-clang-tidy -quiet -j "$jobs" -p "$root/build/asan" "^$root/(core|ca|dns|acme-server|web|bailiwick)/"
}
lint_scripts()
{
    sh -n "$root/image/quickstart.sh" && sh -n "$root/tests/run.sh" && sh -n "$root/tests/install.sh" && bash -n "$root/.ci/run" &&
        "$python" -m compileall -q "$root/tests/e2e" "$root/tests/lint"
}

# ctest's and pytest's own words belong on the screen: stages with show().
show()
{
    show_name=$1
    shift
    show_started=$(date +%s)
    "$@" >"$logs/$show_name.log" 2>&1 && show_code=0 || show_code=$?
    if [ "$show_code" -eq 0 ]; then
        tail -n 12 "$logs/$show_name.log"
        bw_say "ok     $show_name ($(($(date +%s) - show_started)) s)"
    else
        tail -n 120 "$logs/$show_name.log"
        bw_say "FAILED $show_name with $show_code ($(($(date +%s) - show_started)) s); all of it: $logs/$show_name.log"
        failed="$failed $show_name"
    fi
}

# The clients that come as source: Caddy, lego and the drivers around ACME libraries (tests/drivers), at the versions that go.sum and
# crates.lock pin. Go 1.26 and Rust are newer than Debian's, so they must be there; their own caches are used.
build_go()
{
    (cd "$1" && shift && CGO_ENABLED=0 GOTOOLCHAIN=local go build -mod=readonly -buildvcs=false -trimpath -ldflags="-s -w" "$@")
}
# lego's own program as lego4, beside Debian's lego 4.9: its source at the version that go.sum pins, with tests/drivers/lego/_instead over it
# (which says why), built by its own go.mod and go.sum.
build_lego()
{
    lego=$root/build/drivers/lego
    lego_source=$(cd "$root/tests/drivers/lego" && go mod download github.com/go-acme/lego/v4 &&
        go list -mod=readonly -m -f '{{.Dir}}' github.com/go-acme/lego/v4) && [ -d "$lego_source" ] &&
        rm -rf "$lego" && mkdir -p "$lego" && cp -R "$lego_source/." "$lego/" && chmod -R u+w "$lego" &&
        cp -R "$root/tests/drivers/lego/_instead/." "$lego/" &&
        build_go "$lego" -o "$root/build/clients/bin/lego4" ./cmd/lego
}
# Cargo.lock wants a line that names the registry for every crate; crates.lock does without, and cargo itself says what it is.
build_rust()
{
    rust=$root/build/drivers/rust
    mkdir -p "$rust" && cp -R "$root/tests/drivers/rust/." "$rust/" &&
        (cd "$rust" && cargo generate-lockfile --quiet &&
            awk -v source="$(grep -m 1 '^source = ' Cargo.lock | sed 's/"/\\"/g')" '/^checksum = / { print source } { print }' crates.lock >Cargo.new &&
            mv Cargo.new Cargo.lock && cargo build --quiet --locked --target-dir target) &&
        cp "$rust/target/debug/instant" "$root/build/clients/bin/"
}
build_drivers()
{
    command -v go || { echo "There is no go here: tests/drivers needs Go 1.26 or newer in PATH."; return 1; }
    command -v cargo || { echo "There is no cargo here: tests/drivers needs Rust 1.85 or newer in PATH."; return 1; }
    build_go "$root/tests/drivers/caddy" -o "$root/build/clients/bin/" . &&
        build_go "$root/tests/drivers/golang" -o "$root/build/clients/bin/" ./acmez ./xcrypto && build_lego && build_rust &&
        "$root/build/clients/bin/caddy" version && "$root/build/clients/bin/lego4" --version
}
install_clients()
{
    { [ -x "$root/build/clients/bin/pip" ] || "$python" -m venv "$root/build/clients"; } &&
        "$root/build/clients/bin/pip" install --quiet --no-deps --requirement "$root/tests/clients.lock" &&
        "$root/build/clients/bin/pip" check &&
        "$root/build/clients/bin/traefik" version &&
        "$root/build/clients/bin/certbot" plugins --config-dir "$logs/certbot" --work-dir "$logs/certbot" --logs-dir "$logs/certbot" &&
        "$root/build/clients/bin/python3" -W ignore -c "import certbot_dns_multi, sewer.dns_providers.acmedns" &&
        build_drivers
}

bw_say "packages"
# shellcheck disable=SC2086 # lists of words
bw_install "$logs/packages.log" $BW_BUILD_PACKAGES $BW_DEMO_PACKAGES $BW_TEST_PACKAGES $BW_CLIENT_PACKAGES
if [ $clients = yes ]; then
    stage clients install_clients
fi
stage build-gcc build_gcc
stage build-clang build_clang
stage build-asan build_asan
stage build-tsan build_tsan
stage scripts lint_scripts
stage format lint_format
stage clang-tidy lint_tidy
cd "$root"
show unit-gcc ctest --test-dir build/release --output-on-failure -j "$jobs"
show unit-asan ctest --test-dir build/asan --output-on-failure -j "$jobs"
show unit-tsan setarch "$(uname -m)" -R ctest --test-dir build/tsan --output-on-failure -j "$jobs" -L unit

select="not clients"
[ $clients = yes ] && select="clients or not clients"
cd "$root/tests/e2e"
BW_BINARY=$root/build/tsan/bailiwick
export BW_BINARY
show e2e-tsan $asroot "$python" -m pytest -q -m concurrent
BW_BINARY=$root/build/asan/bailiwick
show e2e-asan $asroot "$python" -m pytest -q -n "$((jobs + 1))" --dist loadfile -m "$select" --durations=10

if [ -n "$failed" ]; then
    bw_fail "$(bw_say "failed:$failed")"
fi
bw_say "every part passed"
