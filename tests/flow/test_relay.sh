#!/bin/sh
# A run whose actors have their weights by way of relays: one behind the learner, one behind that one
# and without Redis. The learner and a relay are killed, and the run ends with the weights of one
# that had neither relays nor kills.
# Usage: test_relay.sh PLAIT LEARNER REWARDER ACTOR RELAY GET
set -u
plait=$(readlink -f "$1") learner=$(readlink -f "$2") rewarder=$(readlink -f "$3")
actor=$(readlink -f "$4") relay=$(readlink -f "$5") get=$(readlink -f "$6")
. "$(dirname "$(readlink -f "$0")")/check.sh"
pids=
trap 'end_all; rm -rf "$dir"' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
export OMP_WAIT_POLICY=passive
limit_s=${PLAIT_TEST_LIMIT_S:-120} # of one run

if ! command -v redis-server >/dev/null || ! command -v redis-cli >/dev/null; then
    echo "skipped: redis-server is not installed (deploy/install-deps.sh installs it)"
    exit 77
fi

# What was started here: the loops of keep() first, then what they keep running.
end_all() {
    for pid in $pids; do
        kill "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
    for pid in $(pgrep -f "$dir/run"); do
        kill -9 "$pid" 2>/dev/null
    done
    pids=
}

nobody() {
    ! pgrep -f "$dir/run"
}

# keep NAME PROGRAM WORD...: runs it, and again when it was killed; its process is in NAME.pid
keep() {
    (
        name=$1 child=
        shift
        trap 'kill -TERM $child 2>/dev/null; wait $child; exit 0' TERM
        while :; do
            "$@" >>"$name.log" 2>&1 &
            child=$!
            echo $child >"$name.pid"
            wait $child
            status=$?
            echo $status >"$name.status"
            [ $status -gt 128 ] || exit 0
        done
    ) &
    pids="$! $pids"
}

# at STEP: waits until that many steps are written
at() {
    end=$(($(date +%s) + limit_s))
    while ! grep -qs "\"training/global_step\": $1,.*pg_loss" run/t/metrics.jsonl; do
        if [ "$(date +%s)" -ge $end ]; then
            wrong "no step $1 after $limit_s s"
            tail -n 5 ./*.log
            finish
        fi
        sleep 0.02
    done
}

# murder NAME: SIGKILL; keep() starts it again
murder() {
    kill -KILL "$(cat "$1.pid")"
    kills=$((kills + 1))
}

# ---- a model that knows the form a little, and the run it is compared with ----

steps=8
cat >config.json <<'END'
{"model_type": "qwen2", "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3,
 "num_key_value_heads": 1, "intermediate_size": 96, "vocab_size": 320, "rope_theta": 10000.0,
 "max_position_embeddings": 512, "rms_norm_eps": 1e-6, "tie_word_embeddings": true}
END
expect 0 "$plait" data generate kk --people 2 --wording plain --names 4 --train 60 --test 6 \
    --seed 3 --split puzzle --output tasks
expect 0 "$plait" data generate kk --people 2 --wording plain --names 4 --count 200 --seed 4 \
    --answers interleave --output sft.jsonl
expect 0 "$plait" tokenizer train --size 320 --token '<think>' --token '</think>' \
    --token '<answer>' --token '</answer>' --token '<|interleave|>' --field prompt \
    --field response --output tokenizer sft.jsonl
expect 0 "$plait" model init config.json base --tokenizer tokenizer
expect 0 "$plait" sft base sft.jsonl --output sft --steps 90 --batch-size 16 --lr 6e-3 --quiet
printf '<|interleave|>\n' >instruction.txt
cat >run.yaml <<END
run: {name: t, dir: $dir/run/t, seed: 5}
model.path: sft/model
data: {train_files: [tasks/train.jsonl], val_files: [tasks/test.jsonl],
       instruction: instruction.txt, max_prompt_length: 128, max_response_length: 96,
       train_batch_size: 6}
rollout: {n: 4, staleness: 1}
reward.unparsed: -0.5
actor: {optim.lr: 1e-3, ppo_max_token_len: 1024, ppo_mini_batch_size: 3}
trainer: {total_training_steps: $steps, save_freq: 2, test_freq: 4}
workers.actor_slots: 16
link: {lease_s: 1, redis: "unix://$dir/run/redis.sock"}
END
[ $failures -eq 0 ] || finish # nothing to run
expect 0 timeout "$limit_s" "$plait" up run.yaml run.dir="$dir/alone" link.redis= --quiet

# ---- what a relay refuses ----

expect 2 "$relay" run.yaml
has err "'relay.announce' is not given: a relay needs 'relay.announce' and 'relay.serve'"
expect 2 "$relay" run.yaml relay.announce=ipc://a.sock
has err "'relay.serve' is not given"
expect 2 "$relay" run.yaml relay.announce=ipc://a.sock relay.serve="ipc://$dir/run/t/serve.sock"
has err "'link.serve' is 'ipc://$dir/run/t/serve.sock' too"
expect 1 "$relay" run.yaml relay.announce=ipc:///nowhere/a.sock relay.serve=ipc://b.sock
has err "bind 'ipc:///nowhere/a.sock'"
expect 2 "$relay" run.yaml relay.announce=ipc://a.sock relay.serve=tcp://0.0.0.0:7722
has err "'relay.serve' is 'tcp://0.0.0.0:7722', which the network reaches, and there are no keys"
expect 2 "$relay" run.yaml relay.cache_mb=1
has err 'relay.cache_mb'
expect 0 "$plait" relay --help
has out 'plait-relay'

# ---- the run ----

kills=0
mkdir run
near="ipc://$dir/run/near-announce.sock ipc://$dir/run/near-serve.sock"
far="ipc://$dir/run/far-announce.sock ipc://$dir/run/far-serve.sock"
# from "ANNOUNCE SERVE", as settings
from() {
    echo "link.announce=${1% *} link.serve=${1#* }"
}
bind() {
    echo "relay.announce=${1% *} relay.serve=${1#* }"
}
keep redis redis-server --port 0 --unixsocket "$dir/run/redis.sock" --dir run \
    --save '' --appendonly yes
while [ ! -S run/redis.sock ]; do sleep 0.02; done
keep learner "$learner" run.yaml --name learner
keep rewarder-1 "$rewarder" run.yaml --name rewarder-1
# shellcheck disable=SC2046 # words
{
    keep relay-1 "$relay" run.yaml $(bind "$near") http.listen=127.0.0.1:19640-19699 --name relay-1
    keep relay-2 "$relay" run.yaml $(from "$near") $(bind "$far") link.redis=unix:///nowhere.sock \
        --name relay-2
    keep actor-1 "$actor" run.yaml $(from "$near") --name actor-1
    keep actor-2 "$actor" run.yaml $(from "$far") --name actor-2
}
at 2
murder learner
at 3
murder relay-1
at 4
expect 0 "$plait" status run.yaml
has out 'relay-1'
expect 0 redis-cli -s run/redis.sock HGET 'plait:{t}:worker:relay-1' role
is out relay
# It was killed a step ago: what Redis has may still be the address of the one before, and this one
# need not have been asked for anything yet.
sent() {
    at=$(redis-cli -s run/redis.sock HGET 'plait:{t}:worker:relay-1' http) &&
        "$get" "$at" /metrics >out 2>err &&
        grep -q '^plait_weights_sent_bytes_total{run="t"} [1-9]' out
}
said='the relay that was killed' end=$(($(date +%s) + limit_s))
until sent || [ "$(date +%s)" -ge $end ]; do sleep 0.05; done
ok 'its figures say what it sent' sent
has out 'plait_relay_cache_bytes{run="t"}'
at 5
murder relay-2
at $steps
end=$(($(date +%s) + limit_s))
while [ "$(cat learner.status)" -ne 0 ] && [ "$(date +%s)" -lt $end ]; do
    sleep 0.05
done
said='the run behind relays'
ok "$kills processes were killed" test $kills -eq 3
ok 'the learner is done' test "$(cat learner.status)" -eq 0
ok 'the weights are those of the run alone' cmp alone/model/model.safetensors run/t/model/model.safetensors
ok 'each step once' test "$(grep -c pg_loss run/t/metrics.jsonl)" -eq $steps
ok 'actor-1 had weights' grep -q 'weights event=installed' actor-1.log
ok 'actor-2 had weights' grep -q 'weights event=installed' actor-2.log
# Each is up again, and has the last version, before it is asked to stop.
wait_for actor-1.log "event=installed version=$((steps + 1))"
wait_for actor-2.log "event=installed version=$((steps + 1))"
has relay-2.log 'redis event=waiting'
ok 'it says that once' test "$(grep -c 'redis event=waiting' relay-2.log)" -le 2 # killed once
kill -TERM "$(cat relay-1.pid)" "$(cat relay-2.pid)"
for name in relay-1 relay-2; do
    wait_for $name.log "stop role=relay name=$name signal=15"
    sum=$(grep 'relayed pulled_chunks' $name.log | tail -n 1)
    ok "$name: nothing was wrong" sh -c \
        "echo '$sum' | grep -q 'refused_chunks=0 forged=0 garbage=0 refused_questions=0'"
done
pulled=$(sed -n 's/.*pulled_chunks=\([0-9]*\).*/\1/p' relay-1.log | tail -n 1)
served=$(sed -n 's/.*served_chunks=\([0-9]*\).*/\1/p' relay-1.log | tail -n 1)
echo "relay-1 since it was killed: $pulled chunks pulled, $served served"
ok 'it served more than it pulled' test "$served" -gt "$pulled"
end_all
ok 'no process is left' nobody
finish
