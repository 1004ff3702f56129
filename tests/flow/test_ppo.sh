#!/bin/sh
# PPO with a critic, as a whole: the critic learns alone first, its metrics are there, and a run whose
# learner is killed between checkpoints ends with the same policy and the same critic.
# Usage: test_ppo.sh PLAIT
set -u
plait=$(readlink -f "$1")
. "$(dirname "$(readlink -f "$0")")/check.sh"
export OMP_WAIT_POLICY=passive

if ! command -v redis-server >/dev/null || ! command -v redis-cli >/dev/null; then
    echo "skipped: redis-server is not installed (deploy/install-deps.sh installs it)"
    exit 77
fi

cat >config.json <<'EOF'
{"model_type": "qwen2", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
 "num_key_value_heads": 1, "intermediate_size": 64, "vocab_size": 320, "rope_theta": 10000.0,
 "max_position_embeddings": 512, "rms_norm_eps": 1e-6, "tie_word_embeddings": false}
EOF
expect 0 "$plait" data generate kk --people 2 --wording plain --names 4 --train 30 --test 4 \
    --seed 3 --split puzzle --output tasks
expect 0 "$plait" data generate kk --people 2 --wording plain --names 4 --count 100 --seed 4 \
    --answers interleave --output sft.jsonl
expect 0 "$plait" tokenizer train --size 320 --token '<think>' --token '</think>' \
    --token '<answer>' --token '</answer>' --token '<|interleave|>' --field prompt \
    --field response --output tokenizer sft.jsonl
expect 0 "$plait" model init config.json base --tokenizer tokenizer
expect 0 "$plait" sft base sft.jsonl --output sft --steps 40 --batch-size 16 --lr 1e-2 --quiet
printf '<|interleave|>\n' >instruction.txt
cat >run.yaml <<'EOF'
run: {name: t, dir: none, seed: 5}
model.path: sft/model
data: {train_files: [tasks/train.jsonl], instruction: instruction.txt, max_prompt_length: 128,
       max_response_length: 64, train_batch_size: 4}
rollout: {n: 2, staleness: 1, temperature: 0.8}
algorithm: {adv_estimator: gae, lam: 0.95, use_kl_in_reward: yes}
reward.unparsed: -0.5
actor: {optim.lr: 1e-3, ppo_max_token_len: 512, ppo_mini_batch_size: 2}
critic: {optim: {lr: 1e-3, lr_warmup_steps: 2, lr_scheduler_type: linear}, ppo_epochs: 2}
trainer: {total_training_steps: 6, save_freq: 2, critic_warmup: 2}
workers.actor_slots: 16
link: {lease_s: 1}
EOF

expect 0 "$plait" up run.yaml run.dir=one
last=one/checkpoints/global_step_6
ok 'the plan of memory has the critic' grep -q 'plan of=critic part="master weights (f32)"' one/logs/*
for name in vf_loss vf_clipfrac vpred_mean vf_explained_var grad_norm lr values/mean returns/mean; do
    ok "six of critic/$name" test "$(grep -c "\"critic/$name\": [-0-9]" one/metrics.jsonl)" -eq 6
done
ok 'four steps of the policy' test "$(grep -c '"actor/pg_loss"' one/metrics.jsonl)" -eq 4
# Two steps of warm-up, then down to 1/4 in the last of four; the policy's stays.
sed -n 's/.*"critic\/lr": \([0-9.e-]*\).*/\1/p' one/metrics.jsonl | xargs printf '%.9f ' >rates
ok 'the learning rates of the critic' grep -qx \
    '0.000333333 0.000666667 0.001000000 0.000750000 0.000500000 0.000250000 ' rates
ok 'and of the policy' test "$(grep -c '"actor/lr": 0.001[,}]' one/metrics.jsonl)" -eq 4
ok 'recorded at temperature 0.8 is computed, to the bit' test \
    "$(grep -c '"sampling/sampling_logp_difference/max": 0[,}]' one/metrics.jsonl)" -eq 6
ok 'two of the critic alone' cmp -s sft/model/model.safetensors \
    one/checkpoints/global_step_2/model.safetensors
ok 'and then both' sh -c "! cmp -s sft/model/model.safetensors $last/model.safetensors"
expect 0 "$plait" model info $last/critic
ok 'the value head is with the optimiser' grep -qa '"score.weight.master"' \
    $last/critic/optimizer.safetensors

"$plait" up run.yaml run.dir=killed workers.actors=2 workers.learner_threads=1 >log 2>&1 &
run=$!
# member NAME: its process
member() {
    pgrep -P $run -f -- "--name=$1\$"
}
# Without a rewarder there is no end before the kill, however fast the steps are.
end=$(($(date +%s) + 120))
until [ "$(wc -l <killed/metrics.jsonl 2>/dev/null || echo 0)" -ge 2 ] || [ "$(date +%s)" -ge $end ]; do
    sleep 0.02
done
rewarder=$(member rewarder-1) learner=$(member learner)
kill -STOP "$rewarder"
ok 'the learner was killed before the end' sh -c \
    "[ \$(wc -l <killed/metrics.jsonl) -lt 6 ] && kill -KILL $learner"
kill -CONT "$rewarder"
wait $run
ok 'it ends well after its learner was killed' test $? -eq 0 || cat log
ok 'the learner began again' test "$(cat killed/logs/* | grep -c 'begin step=')" -ge 2
for file in model.safetensors critic/model.safetensors critic/optimizer.safetensors; do
    ok "the same $file" cmp $last/$file killed/checkpoints/global_step_6/$file
done
finish
