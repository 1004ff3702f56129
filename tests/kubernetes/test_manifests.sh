#!/bin/sh
# The manifests that users apply, built from the overlays: by the published schemas and types of
# Kubernetes, and by a lint of plait's own, which in turn must find what is broken on purpose.
# Usage: test_manifests.sh SOURCE PLAIT CACHE
# Exit status 77, a skip, without node, npm, its registry, or a kubectl that builds overlays.
set -u
here=$(dirname "$(readlink -f "$0")")
source=$(readlink -f "$1")
plait=$(readlink -f "$2")
cache=$(mkdir -p "$3" && readlink -f "$3")
. "$here/../flow/check.sh"
. "$here/prepare.sh"

npm_modules "$cache"
overlays
version=$("$plait" --version | head -n 1)
node "$cache/check.mjs" "${version#plait }" $built || wrong 'the manifests are not right'
checks=$((checks + 1))
node "$cache/broken.mjs" "${version#plait }" $built >found || {
    grep -v '^found' found
    wrong 'a broken manifest was not found'
}
tail -n 1 found
checks=$((checks + 2))
node "$cache/settings.mjs" "$plait" "$dir" $built || wrong 'a program does not know what it is told'
# The configurations of Redis say what deploy/redis/redis.conf says, but for places and sizes.
for conf in manifests/base/redis.conf manifests/components/redis-guard/redis.conf; do
    grep -v '^#' $conf | sed '/^$/d; /-file /d; /^aclfile /d; /^dir /d; /^maxmemory /d; /^bind /d' |
        case $conf in
        *base*) grep -v -e '^port ' -e '^protected-mode ' ;;
        *) cat ;;
        esac >said
    ok "$conf has settings" test "$(wc -l <said)" -gt 10
    while IFS= read -r line; do
        ok "$conf: '$line' as in deploy/redis/redis.conf" grep -qxF "$line" "$source/deploy/redis/redis.conf"
    done <said
done
finish
