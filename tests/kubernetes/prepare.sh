# shellcheck shell=sh disable=SC2154
# Sourced by the tests of the manifests, after check.sh: what they need, and the overlays as users
# build them.

skip() {
    echo "skipped: $1"
    exit 77
}

# npm_modules CACHE: the packages of package-lock.json there, and these files beside them
npm_modules() {
    command -v node >/dev/null || skip "there is no node (deploy/install-deps.sh --test installs it)"
    command -v npm >/dev/null || skip "there is no npm (deploy/install-deps.sh --test installs it)"
    mkdir -p "$1"
    if ! cmp -s "$here/package-lock.json" "$1/installed.json"; then
        cp "$here/package.json" "$here/package-lock.json" "$1/"
        (cd "$1" && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error --fetch-retries=1 \
            --fetch-timeout=20000) >"$1/npm.log" 2>&1 </dev/null ||
            skip "npm cannot install: $(grep -m 1 -i error "$1/npm.log")"
        cp "$here/package-lock.json" "$1/installed.json"
    fi
    cp "$here"/*.mjs "$here"/*.ts "$1/"
}

# overlays: a copy of the manifests with secrets in it as the README makes them, and what kubectl
# makes of each overlay: dev.yaml, prod.yaml, prod-keda.yaml, which $built names
overlays() {
    command -v kubectl >/dev/null || skip "there is no kubectl, which builds the overlays"
    kubectl kustomize --help >/dev/null 2>&1 || skip "this kubectl does not build overlays"
    cp -R "$source/deploy/kubernetes" manifests
    rm -rf manifests/overlays/*/secrets
    secrets=manifests/overlays/prod/secrets
    mkdir -p $secrets/redis manifests/overlays/prod-keda/secrets
    expect 0 "$plait" keygen $secrets/keys
    expect 0 "$plait" redis acl $secrets/redis --run prod
    expect 0 "$plait" redis certs $secrets/redis plait-redis plait-redis.plait
    cp $secrets/redis/ca.crt $secrets/redis/client.crt $secrets/redis/client.key \
        manifests/overlays/prod-keda/secrets/
    printf 'username=viewer\npassword=%s\n' "$(cat $secrets/redis/viewer.password)" \
        >manifests/overlays/prod-keda/secrets/keda.env
    built=
    for overlay in dev prod prod-keda; do
        expect 0 kubectl kustomize manifests/overlays/$overlay
        mv out $overlay.yaml
        built="$built $overlay.yaml"
    done
    [ "$failures" -eq 0 ] || finish
}
