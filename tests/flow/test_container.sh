#!/bin/sh
# The container image: two builds have one digest; its configuration says who runs what; and it runs
# as a cluster with the strictest rules would run it: its root read-only, uid 65532, no capability, a
# folder and /tmp to write to. In there: help, the doctor, and a whole small run against a Redis
# outside. Usage: test_container.sh SOURCE BUILD JSON
set -u
source=$(readlink -f "$1")
build=$(readlink -f "$2")
json=$(readlink -f "$3")
. "$(dirname "$(readlink -f "$0")")/check.sh"
redis=
trap '[ -z "$redis" ] || kill "$redis"; rm -rf "$dir"' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

skip() {
    echo "skipped: $1"
    exit 77
}

for program in buildah bwrap setpriv redis-server dpkg-query; do
    command -v $program >/dev/null ||
        skip "there is no $program (deploy/install-deps.sh --test installs it)"
done
[ "$(id -u)" = 0 ] || skip "building an image and running it as another user needs root"
chmod 755 "$dir"

# ---- two builds ----

for n in 1 2; do
    expect 0 "$source/deploy/container/build" --build "$build" --output "$dir/oci-$n"
    digest=$(tail -n 1 out)
    [ $n = 1 ] || ok 'two builds have one digest' test "$digest" = "$first"
    first=$digest
    sed -n 1p out
    [ $failures -eq 0 ] || finish
done
blob() { # DIGEST
    echo "oci-1/blobs/sha256/${1#sha256:}"
}
ok 'the digest is that of the manifest' test "$(sha256sum <"$(blob "$digest")")" = "${digest#sha256:}  -"
config=$(blob "$("$json" config.digest <"$(blob "$digest")")")
layer=$(blob "$("$json" layers.0.digest <"$(blob "$digest")")")
ok 'it is one layer' test "$("$json" layers.1 <"$(blob "$digest")")" = ""
says() { # PATH VALUE
    ok "the image's $1 is $2" test "$("$json" "$1" <"$config")" = "$2"
}
says config.User 65532:65532
says config.Entrypoint '["/usr/bin/plait"]'
says config.Cmd '["help"]'
says config.StopSignal SIGTERM
says config.WorkingDir /var/lib/plait
says config.Env '["PATH=/usr/bin","HOME=/tmp"]'
version=$("$build/deploy/plait" --version | head -n 1)
# "json" takes a dot for a step, and these have dots
for label in "title\":\"plait\"" "version\":\"${version#plait }\"" "licenses\":\"Apache-2.0\"" \
    "revision\":\"" "created\":\"2" "description\":\"Trains"; do
    ok "label $label" grep -qF "org.opencontainers.image.$label" "$config"
done

# ---- what is in it ----

mkdir root
tar -xf "$layer" -C root || exit 1
ok 'no shell, no package manager, no Redis, no set-uid program' test "$(
    find root \( -name '*sh' -o -name 'dpkg*' -o -name 'apt*' -o -name 'redis*' -o -name perl \) \
        -type f -perm /111
    find root -perm /6000
)" = ''
ok 'nothing that others may write to but /tmp' test "$(find root ! -type l -perm /022)" = root/tmp
(cd root/usr/bin && echo * && cd ../libexec/plait && echo *) >programs
has programs 'plait-actor plait-learner'
ok 'programs are stripped' sh -c '! readelf -S root/usr/bin/plait | grep -q debug_info'
bill=root/usr/share/doc/plait/sbom.spdx.json
ok 'a bill of materials' test "$("$json" spdxVersion <$bill)" = SPDX-2.3
n=0
find root/usr/lib root/usr/bin root/usr/libexec -type f | sed 's/^root//' >held
while read -r file; do
    grep -qF "\"fileName\": \".$file\"" $bill || wrong "the bill of materials does not name $file"
    n=$((n + 1))
done <held
ok 'it names programs and libraries' test $n -gt 20
ok 'terminals for plait top' test -s root/usr/lib/terminfo/x/xterm-256color -a -s root/lib/terminfo/t/tmux
for package in libc6 libopenblas0-openmp libzmq5 ca-certificates ncurses-base; do
    has $bill "pkg:deb/debian/$package@$(dpkg-query -W -f '${Version}' $package | sed 's/+/%2B/g; s/:/%3A/g')"
    ok "the licence of $package" test -s root/usr/share/doc/$package/copyright
done

# ---- it runs, where it may do next to nothing ----

# within PROGRAM WORD...: as 65532 without capabilities, the root read-only, /var/lib/plait kept
mkdir state
chown 65532:65532 state
within() {
    setpriv --reuid 65532 --regid 65532 --clear-groups --no-new-privs bwrap --ro-bind root / \
        --bind state /var/lib/plait --tmpfs /tmp --proc /proc --dev /dev --unshare-user \
        --unshare-pid --unshare-ipc --unshare-uts --cap-drop ALL --die-with-parent --clearenv \
        --setenv PATH /usr/bin --setenv HOME /tmp --setenv OMP_NUM_THREADS 2 \
        --setenv OMP_WAIT_POLICY passive --setenv OPENBLAS_CORETYPE "${core-}" \
        --chdir /var/lib/plait "$@"
}
setpriv --reuid 65532 --regid 65532 --clear-groups bwrap --ro-bind root / --unshare-user true \
    2>why || grep -q 'execvp true' why ||
    skip "the image is right, but users may not make namespaces here: $(tail -n 1 why)"

expect 0 within plait --help
has out 'Usage: plait COMMAND'
expect 0 within plait learner --help
has out 'plait-learner'
expect 0 within plait actor --help
expect 0 within plait rewarder --help
expect 1 within plait data generate kk --people 2 --train 6 --output /usr/share/x
has err 'Read-only file system'
expect 0 within plait doctor --json
ok 'the doctor proves row invariance' test "$("$json" row_invariant <out)" = true
# OpenBLAS looks at the processor when it starts, and takes what it is told.
[ "$(uname -m)" != x86_64 ] || for core in Haswell Nehalem; do
    expect 0 within plait doctor --json
    ok "OpenBLAS has kernels for $core" test "$("$json" blas_core <out)" = $core
done
core=

cat >state/config.json <<'EOF'
{"model_type": "qwen2", "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3,
 "num_key_value_heads": 1, "intermediate_size": 96, "vocab_size": 330, "rope_theta": 10000.0,
 "max_position_embeddings": 512, "rms_norm_eps": 1e-6, "tie_word_embeddings": true}
EOF
expect 0 within plait data generate kk --people 2 --wording plain --names 4 --train 60 --test 6 \
    --seed 3 --split puzzle --answers interleave --output tasks
expect 0 within plait tokenizer train --size 320 --token '<think>' --token '</think>' \
    --token '<answer>' --token '</answer>' --token '<|interleave|>' --field prompt \
    --field response --output tokenizer tasks/train-answers.jsonl
expect 0 within plait model init config.json base --tokenizer tokenizer
cat >state/run.yaml <<'EOF'
run: {name: t, dir: run, seed: 5}
model.path: base
data: {train_files: [tasks/train.jsonl], val_files: [tasks/test.jsonl], max_prompt_length: 128,
       max_response_length: 32, train_batch_size: 4}
rollout.n: 4
trainer: {total_training_steps: 3, save_freq: 3}
workers: {actors: 2, actor_slots: 4}
link.redis: redis://127.0.0.1:6390
EOF
mkdir redis
port=6390
while redis-cli -p $port PING >/dev/null 2>&1; do
    port=$((port + 1))
done
sed -i "s/6390/$port/" state/run.yaml
redis-server --port $port --bind 127.0.0.1 --dir "$dir/redis" --save '' >redis.log 2>&1 &
redis=$!
wait_for redis.log 'Ready to accept connections'
expect 0 within plait up run.yaml --quiet
ok 'three steps' test "$(grep -c pg_loss state/run/metrics.jsonl)" -eq 3
ok 'a model' test -s state/run/model/model.safetensors
ok 'all of it belongs to 65532' test "$(find state -mindepth 1 ! -user 65532 ! -name config.json \
    ! -name run.yaml)" = ''

# A role of its own is process 1, without capabilities, and leaves when it is told to.
within plait rewarder run.yaml --name spare >spare.log 2>&1 &
keeper=$!
wait_for spare.log 'start role=rewarder'
pid=$(pgrep -f 'plait-rewarder run.yaml --name spare$' | tail -n 1)
for line in 'CapEff:	0000000000000000' 'CapPrm:	0000000000000000' 'CapBnd:	0000000000000000' \
    'NoNewPrivs:	1' "Uid:	65532	65532	65532	65532"; do
    ok "of a role: $line" grep -qF "$line" "/proc/$pid/status"
done
kill -TERM "$pid"
wait $keeper
ok 'on SIGTERM it ends well' test $? -eq 0
has spare.log 'signal=15'

finish
