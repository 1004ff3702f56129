#!/bin/sh
# The same bytes: a short run of reinforcement learning ends with the same weights with one actor and
# with three, with one thread and with two, when its processes are killed, and when Redis is emptied.
# Usage: test_up.sh PLAIT
set -u
plait=$(readlink -f "$1")
. "$(dirname "$(readlink -f "$0")")/check.sh"
export OMP_WAIT_POLICY=passive

if ! command -v redis-server >/dev/null || ! command -v redis-cli >/dev/null; then
    echo "skipped: redis-server is not installed (deploy/install-deps.sh installs it)"
    exit 77
fi

# A model that knows the form a little: its rewards differ from sample to sample.
cat >config.json <<'EOF'
{"model_type": "qwen2", "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3,
 "num_key_value_heads": 1, "intermediate_size": 96, "vocab_size": 320, "rope_theta": 10000.0,
 "max_position_embeddings": 512, "rms_norm_eps": 1e-6, "tie_word_embeddings": true}
EOF
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
cat >run.yaml <<'EOF'
run: {name: t, dir: none, seed: 5}
model.path: sft/model
data: {train_files: [tasks/train.jsonl], val_files: [tasks/test.jsonl],
       instruction: instruction.txt, max_prompt_length: 128, max_response_length: 96,
       train_batch_size: 6}
rollout: {n: 4, staleness: 1}
reward.unparsed: -0.5
actor: {optim.lr: 1e-3, ppo_max_token_len: 1024, ppo_mini_batch_size: 3}
trainer: {total_training_steps: 8, save_freq: 2, test_freq: 4}
workers.actor_slots: 16
link: {lease_s: 1, deliveries_max: 50}
EOF

# up NAME SETTING...: a run to its end
up() {
    name=$1
    shift
    expect 0 "$plait" up run.yaml run.dir="$name" "$@"
}

sum() {
    sha256sum "$1/model/model.safetensors" | cut -d ' ' -f 1
}

same() {
    ok "$1: the same weights" test "$(sum "$1")" = "$(sum "$2")"
}

expect 0 "$plait" up run.yaml run.dir=none --dry-run
has out 'rollout.staleness: 1'
expect 1 "$plait" up run.yaml run.dir=none rollout.nn=3
has err "unknown setting 'rollout.nn'; did you mean 'rollout.n'?"

up one
has err "done: the model is in 'one/model'"
ok 'it learned something' test "$(sum one)" != \
    "$(sha256sum sft/model/model.safetensors | cut -d ' ' -f 1)"
ok 'eight steps and three evaluations' test "$(wc -l <one/metrics.jsonl)" -eq 11
ok 'log-probabilities are equal to the bit' test \
    "$(grep -c '"sampling/sampling_logp_difference/max": 0[,}]' one/metrics.jsonl)" -eq 8
ok 'gradients that are not all zero' sh -c \
    "grep -o '\"actor/grad_norm\": [0-9.e-]*' one/metrics.jsonl | grep -qv ': 0\$'"
ok 'rollouts with their rewards' grep -q '"reward_intermediate":' one/rollouts/8.jsonl

up three workers.actors=3 workers.actor_threads=1 workers.learner_threads=1 workers.rewarders=2
same three one

# Children die of SIGKILL, one after another, while it runs: at most 12 of them, within a minute.
"$plait" up run.yaml run.dir=killed workers.actors=2 >log 2>&1 &
run=$!
kills=0
while [ $kills -lt 12 ] && kill -0 $run 2>/dev/null; do
    sleep 0.4
    for child in $(pgrep -P $run | sort -R --random-source=config.json | head -n 1); do
        kill -9 "$child" 2>/dev/null && kills=$((kills + 1))
    done
    sleep 0.8
done
wait $run
ok "it ends well after $kills kills" test $? -eq 0 || cat log
same killed one

# Redis is emptied half way.
"$plait" up run.yaml run.dir=emptied >log 2>&1 &
run=$!
for _ in $(seq 300); do
    [ "$(grep -c actor/pg_loss emptied/metrics.jsonl 2>/dev/null)" -ge 3 ] 2>/dev/null && break
    sleep 0.05
done
redis-cli -s emptied/redis.sock FLUSHALL >/dev/null 2>&1
wait $run
ok 'it ends well after FLUSHALL' test $? -eq 0 || cat log
same emptied one
finish
