# Package lists and installation, sourced by image/quickstart.sh and tests/run.sh. POSIX sh. Debian packages only.

BW_BUILD_PACKAGES="gcc libc6-dev cmake ninja-build pkg-config libssl-dev libsqlite3-dev libmicrohttpd-dev libgnutls28-dev
    libldns-dev libjansson-dev libyaml-dev libcurl4-openssl-dev"
BW_DEMO_PACKAGES="ca-certificates curl lego openssl"
BW_TEST_PACKAGES="certbot clang clang-format clang-tidy curl dnsmasq-base dnsutils iproute2 knot-dnsutils libcmocka-dev
    libclang-rt-14-dev mount procps python3 python3-acme python3-cryptography python3-dnspython python3-josepy
    python3-pytest python3-pytest-xdist python3-requests python3-venv sqlite3 util-linux"

bw_started=$(date +%s)

bw_elapsed()
{
    echo $(($(date +%s) - bw_started))
}

bw_say()
{
    printf '[%4d s] %s\n' "$(bw_elapsed)" "$*"
}

bw_fail()
{
    printf '%s\n' "$*" >&2
    exit 1
}

# Which of the packages named are not installed?
bw_missing()
{
    for bw_package in "$@"; do
        # shellcheck disable=SC2016 # the format is dpkg-query's
        case $(dpkg-query -W -f='${db:Status-Status}' "$bw_package" 2>/dev/null) in
        installed) ;;
        *) printf '%s ' "$bw_package" ;;
        esac
    done
}

# bw_install LOG PACKAGE...: installs what is missing; asks for new package lists only when the ones here do not do.
bw_install()
{
    bw_log=$1
    shift
    command -v apt-get >/dev/null 2>&1 && command -v dpkg-query >/dev/null 2>&1 ||
        bw_fail "There is no apt-get here. This script wants Debian 12; elsewhere install the packages named in tests/install.sh by hand."
    bw_needed=$(bw_missing "$@")
    if [ -z "$bw_needed" ]; then
        return 0
    fi
    bw_sudo=""
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null 2>&1 ||
            bw_fail "These packages are missing, and only root may install them: ${bw_needed}- run this as root, or install sudo."
        bw_sudo="sudo"
    fi
    bw_say "installing: $bw_needed"
    # shellcheck disable=SC2086 # a list of words
    bw_apt install $bw_needed >"$bw_log" 2>&1 && return 0
    bw_say "fetching newer package lists"
    bw_apt update >>"$bw_log" 2>&1 || { tail -n 20 "$bw_log" >&2; bw_fail "apt-get update failed; see $bw_log."; }
    # shellcheck disable=SC2086
    bw_apt install $bw_needed >>"$bw_log" 2>&1 || { tail -n 20 "$bw_log" >&2; bw_fail "apt-get install failed; see $bw_log."; }
}

bw_apt()
{
    if [ "$1" = install ]; then
        set -- "$@" --no-install-recommends
    fi
    $bw_sudo env DEBIAN_FRONTEND=noninteractive apt-get -y -q -o DPkg::Lock::Timeout=300 "$@"
}
