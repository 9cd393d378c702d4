#!/bin/sh
# Fuzz every target with libFuzzer under AddressSanitizer and UBSan: sh tests/fuzz/run.sh [SECONDS_PER_TARGET [TARGET...]]
# Starts from the committed corpora and leaves them alone; what it finds is in build/fuzz-findings.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
seconds=${1:-60}
[ $# -eq 0 ] || shift
. "$root/tests/install.sh"
mkdir -p "$root/build/logs" "$root/build/fuzz-findings"
# shellcheck disable=SC2086 # a list of words
bw_install "$root/build/logs/fuzz-packages.log" $BW_BUILD_PACKAGES clang libclang-rt-14-dev
cd "$root"
cmake --preset fuzz >"$root/build/logs/fuzz-build.log" && cmake --build build/fuzz >>"$root/build/logs/fuzz-build.log" ||
    { tail -n 20 "$root/build/logs/fuzz-build.log" >&2; exit 1; }
[ $# -gt 0 ] || set -- $(cd tests/fuzz && ls fuzz_*.c | sed 's/^fuzz_//; s/\.c$//')
failed=""
for target in "$@"; do
    grown=$root/build/fuzz-corpus/$target
    mkdir -p "$grown"
    if "build/fuzz/tests/fuzz/fuzz_$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
        -artifact_prefix="$root/build/fuzz-findings/$target-" "$grown" "tests/fuzz/corpus/$target" \
        >"$root/build/logs/fuzz-$target.log" 2>&1; then
        bw_say "$target: $(grep -o 'Done [0-9]* runs' "$root/build/logs/fuzz-$target.log") without a finding"
    else
        failed="$failed $target"
        bw_say "$target: FAILED, see build/logs/fuzz-$target.log and build/fuzz-findings"
    fi
done
[ -z "$failed" ] || bw_fail "findings in:$failed"
