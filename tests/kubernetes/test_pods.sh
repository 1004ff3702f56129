#!/bin/sh
# The contract of pods and programs, without a cluster: the overlays dev and prod as kubectl builds
# them, their pods as processes in the image's root, each with a network, volumes, environment, probes
# and policies of its own (kubelet.mjs says how). The run reaches its last step while actors come and
# go and the learner is moved, with the weights of a run by plait up.
# Usage: test_pods.sh SOURCE BUILD CACHE
# Exit status 77, a skip, without root, node, npm, kubectl, bubblewrap, nftables or iproute2.
set -u
here=$(dirname "$(readlink -f "$0")")
source=$(readlink -f "$1")
build=$(readlink -f "$2")
cache=$(mkdir -p "$3" && readlink -f "$3")
plait=$build/deploy/plait
. "$here/../flow/check.sh"
. "$here/prepare.sh"

[ "$(id -u)" = 0 ] || skip "network namespaces and other users need root"
for program in bwrap setpriv ip nft unshare redis-server redis-cli; do
    command -v $program >/dev/null ||
        skip "there is no $program (deploy/install-deps.sh --full installs it)"
done
unshare --net --mount --pid --fork true 2>why || skip "no namespaces here: $(cat why)"
npm_modules "$cache"
chmod 755 "$dir"

# The root of the image, with a place for each mount.
expect 0 "$source/deploy/container/rootfs" "$build" root
[ $failures -eq 0 ] || finish
for at in etc/plait-keys etc/plait-redis etc/demo data; do
    mkdir -p root/$at
done
: >root/etc/hosts
# What gives rights away before a program starts, as a runtime does it from outside.
mkdir root/.tools
cp "$(command -v setpriv)" root/.tools/setpriv
ldd root/.tools/setpriv | awk '$2 == "=>" { print $3 }' | xargs -I LIBRARY cp LIBRARY root/.tools/
cp "$(ldd root/.tools/setpriv | awk '$1 ~ /ld-linux/ { print $1 }')" root/.tools/ld.so
# What a runtime would read of the image.
sed -n '/^FROM scratch/,$p' "$source/deploy/container/Containerfile" | awk '
    $1 == "ENTRYPOINT" { sub("ENTRYPOINT ", ""); entry = $0 }
    $1 == "WORKDIR" { cwd = $2 }
    $1 == "ENV" { for (i = 2; i <= NF; i++) env = env (i > 2 ? ", " : "") "\"" $i "\"" }
    END { printf "{\"config\": {\"Entrypoint\": %s, \"WorkingDir\": \"%s\", \"Env\": [%s]}}\n", entry, cwd, env }
' >config.json

# The run of the demo, shorter; prod does it too, with the volume of data that the demo's pods made.
steps=40
overlays
sed "s/total_training_steps: [0-9]*/total_training_steps: $steps/" \
    "$source/deploy/kubernetes/overlays/dev/run.yaml" >run.yaml
ok 'the demo is shorter' grep -q "total_training_steps: $steps," run.yaml
cp run.yaml manifests/overlays/dev/run.yaml
sed 's/name: demo/name: prod/' run.yaml >manifests/overlays/prod/run.yaml

# act OVERLAY: its pods, in namespaces that end with whatever is begun in them
act() {
    expect 0 kubectl kustomize manifests/overlays/"$1"
    mv out "$1.yaml"
    mkdir -p "$1/claims"
    chmod 755 "$1"
    [ "$1" = dev ] || cp -R dev/plait-learner-0/data "$1/claims/plait-data"
    unshare --net --mount --pid --fork --kill-child --mount-proc sh -c '
        mount -t tmpfs none /run && exec node "$@"' sh \
        "$cache/demo.mjs" "$1.yaml" "$dir/$1" "$dir/root" config.json 600
    status=$?
    checks=$((checks + 1))
    said="the pods of $1"
    [ $status -eq 0 ] || wrong "status $status"
}
act dev
[ $failures -eq 0 ] || finish
act prod

# Pods do not see what this machine tells OpenBLAS, and its kernels enter the bits of a run.
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE OPENBLAS_NUM_THREADS
# The same run by plait up, of the same model and tasks, which a pod made.
data=dev/plait-learner-0/data
expect 0 "$plait" up run.yaml --quiet run.dir=up model.path=$data/warm-start/model \
    data.train_files=$data/tasks/train.jsonl data.val_files=$data/tasks/test.jsonl \
    workers.learner_stays=no
for overlay in dev prod; do
    ok "$overlay: the weights are the same" cmp up/model/model.safetensors \
        $overlay/claims/run-plait-learner-0/run/model/model.safetensors
done
finish
