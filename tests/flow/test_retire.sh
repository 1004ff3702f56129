#!/bin/sh
# What Redis holds of a batch goes when the checkpoint that contains it is there, and not before: a
# learner whose checkpoint does not fit the largest file that it may write ends, and nothing is
# retired; with more room it goes on from what is in Redis, and ends with the weights of a run that
# was never in the way. Usage: test_retire.sh PLAIT LEARNER REWARDER ACTOR
set -u
plait=$(readlink -f "$1") learner=$(readlink -f "$2") rewarder=$(readlink -f "$3")
actor=$(readlink -f "$4")
. "$(dirname "$(readlink -f "$0")")/check.sh"
trap 'end_all; rm -rf "$dir"' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
export OMP_WAIT_POLICY=passive
pids=

if ! command -v redis-server >/dev/null || ! command -v redis-cli >/dev/null; then
    echo "skipped: redis-server is not installed (deploy/install-deps.sh installs it)"
    exit 77
fi

end_all() {
    for pid in $pids; do
        kill -9 "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
}

start() { # NAME PROGRAM WORD...
    name=$1
    shift
    "$@" >"$name.log" 2>&1 &
    pids="$pids $!"
}

retired() {
    redis-cli -s redis.sock SCARD 'plait:{t}:retired'
}

cat >config.json <<'END'
{"model_type": "qwen2", "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
 "num_key_value_heads": 1, "intermediate_size": 64, "vocab_size": 300, "rope_theta": 10000.0,
 "max_position_embeddings": 256, "rms_norm_eps": 1e-6, "tie_word_embeddings": true}
END
expect 0 "$plait" data generate kk --people 2 --wording plain --names 4 --train 30 --test 4 \
    --seed 3 --split puzzle --output tasks
expect 0 "$plait" tokenizer train --size 300 --token '<think>' --token '</think>' \
    --token '<answer>' --token '</answer>' --token '<|interleave|>' --field question \
    --output tokenizer tasks/train.jsonl
expect 0 "$plait" model init config.json base --tokenizer tokenizer
printf '<|interleave|>\n' >instruction.txt
cat >run.yaml <<END
run: {name: t, dir: $dir/run, seed: 5}
model.path: $dir/base
data: {train_files: [$dir/tasks/train.jsonl], instruction: $dir/instruction.txt,
       max_prompt_length: 128, max_response_length: 32, train_batch_size: 4}
rollout: {n: 4, staleness: 1}
reward.overlong_buffer: {len: 31, penalty_factor: 4}
actor: {optim.lr: 1e-3, ppo_max_token_len: 1024}
trainer: {total_training_steps: 4, save_freq: 2}
workers: {actor_slots: 16, actor_threads: 1, learner_threads: 1}
link.redis: "unix://$dir/redis.sock"
END
[ $failures -eq 0 ] || finish
expect 0 "$plait" up run.yaml run.dir="$dir/alone" link.redis= --quiet

start redis redis-server --port 0 --unixsocket "$dir/redis.sock" --dir "$dir" --save ''
while [ "$(redis-cli -s redis.sock PING 2>/dev/null)" != PONG ]; do sleep 0.02; done
start rewarder "$rewarder" run.yaml --name=rewarder-1
start actor "$actor" run.yaml --name=actor-1
# The weights fit, the optimiser's moments do not. An early end of it is of the same kind.
cat >limited <<END
trap '' XFSZ
ulimit -f 200
exec "$learner" run.yaml --name=learner
END
timeout 120 sh limited >limited.log 2>&1
status=$?
said='a learner that cannot write its checkpoint'
ok "it fails ($status)" test $status -ne 0 -a $status -ne 124
has limited.log 'File too large'
ok 'it had trained' grep -q pg_loss run/metrics.jsonl
ok 'there is no checkpoint' test ! -e run/checkpoints/latest
ok "and nothing is retired: $(retired)" test "$(retired)" = 0
said='the same with more room'
timeout 120 "$learner" run.yaml --name=learner >learner.log 2>&1
status=$?
ok "it ends well ($status)" test $status -eq 0 || cat learner.log
ok 'all batches are retired' test "$(retired)" -ge 4
ok 'the weights are those of the run alone' cmp alone/model/model.safetensors run/model/model.safetensors
finish
