# Package lists and installation, sourced by image/quickstart.sh and tests/run.sh. POSIX sh. Debian packages only.

BW_BUILD_PACKAGES="gcc libc6-dev cmake ninja-build pkg-config libssl-dev libsqlite3-dev libmicrohttpd-dev libgnutls28-dev
    libldns-dev libunbound-dev libjansson-dev libyaml-dev libcurl4-openssl-dev"
BW_DEMO_PACKAGES="ca-certificates curl lego openssl"
BW_TEST_PACKAGES="bind9 bind9-dnsutils bind9-utils clang clang-format clang-tidy curl dnsmasq-base iproute2 knot knot-dnsutils libcmocka-dev
    libclang-rt-14-dev mount nsd unbound procps python3 python3-acme python3-cryptography python3-dnspython python3-josepy
    python3-pytest python3-pytest-xdist python3-requests python3-venv sqlite3 util-linux"
# Other people's ACME clients and Pebble. apache2-bin is Apache without Debian's configuration and service.
BW_CLIENT_PACKAGES="acme-tiny acmetool apache2-bin caddy certbot python3-certbot-dns-rfc2136 dehydrated lacme lacme-accountd libcrypt-openssl-rsa-perl
    liblwp-protocol-https-perl pebble uacme"

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

# Nothing that is installed here is started: a packaged web server would take ports 80 and 443 of the machine.
bw_apt()
(
    bw_policy=/usr/sbin/policy-rc.d
    if [ "$1" = install ]; then
        set -- "$@" --no-install-recommends
        if [ ! -e $bw_policy ]; then
            trap '$bw_sudo rm -f $bw_policy' EXIT
            trap 'exit 1' INT TERM HUP
            printf '#!/bin/sh\nexit 101\n' | $bw_sudo sh -c "cat >$bw_policy && chmod 755 $bw_policy"
        fi
    fi
    $bw_sudo env DEBIAN_FRONTEND=noninteractive apt-get -y -q -o DPkg::Lock::Timeout=300 "$@"
)
