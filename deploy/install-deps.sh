#!/bin/sh
# Installs the Debian packages that plait is built from, and with --test those its tests need.
set -eu

build="build-essential meson ninja-build pkg-config libopenblas-openmp-dev libjansson-dev
libpcre2-dev libutf8proc-dev libprotobuf-c-dev protobuf-c-compiler libhiredis-dev libzmq3-dev
libmicrohttpd-dev libsodium-dev libzstd-dev libxxhash-dev libssl-dev libyaml-dev libncurses-dev
redis-server"
test="procps libcmocka-dev clang clang-format libclang-rt-14-dev libomp-14-dev git libxml2-utils
openssl shellcheck spin"
full="systemd-container dbus buildah bubblewrap ca-certificates iproute2 nftables prometheus openssl"
# Needed as commands, whoever packaged them: Debian's npm does not go with another nodejs.
test_commands="nodejs:node npm:npm"

usage() {
    cat <<'EOF'
Usage: deploy/install-deps.sh [--test | --full] [--list]

Installs with apt-get, as root or through sudo, the Debian 12 packages to build plait.
Does nothing, quickly, when all of them are there.

  --test   those to run the tests as well
  --full   and those of the suite full: containers, network namespaces, Prometheus
           (Debian's prometheus starts a service of its own on port 9090)
  --list   print the packages and leave
EOF
}

fail() {
    echo "install-deps: $*" >&2
    exit 1
}

packages=$build
commands=
list=no
for word in "$@"; do
    case $word in
    --test)
        packages="$packages $test"
        commands=$test_commands
        ;;
    --full)
        packages="$packages $test $full"
        commands=$test_commands
        ;;
    --list) list=yes ;;
    -h | --help)
        usage
        exit 0
        ;;
    *)
        echo "install-deps: unknown option '$word'; it takes --test, --full, --list and --help." >&2
        exit 2
        ;;
    esac
done

if [ "$list" = yes ]; then
    for package in $packages $commands; do
        echo "${package%:*}"
    done
    exit 0
fi

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    fail "this is no Debian system (no apt-get); install the like of these by hand:" "$packages"
fi

missing=
for package in $packages; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done
for pair in $commands; do
    command -v "${pair#*:}" >/dev/null || missing="$missing ${pair%:*}"
done
if [ -z "$missing" ]; then
    echo "install-deps: all packages are installed already"
    exit 0
fi

sudo=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null ||
        fail "these packages are missing; install them as root: apt-get install$missing"
    sudo=sudo
fi
echo "install-deps: installing$missing"
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -q || fail "apt-get update failed; see above"
# shellcheck disable=SC2086
$sudo apt-get install -q -y --no-install-recommends $missing </dev/null ||
    fail "apt-get install failed; plait is made for Debian 12, where all of these exist"
