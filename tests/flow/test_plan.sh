#!/bin/sh
# `plait plan` from outside: tables and JSON of a small run, rates measured and read back, recipes on
# published shapes, errors.
# Usage: test_plan.sh PLAIT JSON
set -u
plait=$(readlink -f "$1")
json=$(readlink -f "$2")
source=${PLAIT_TEST_SOURCE:?}
. "$(dirname "$(readlink -f "$0")")/check.sh"

plan() {
    want=$1
    shift
    expect "$want" "$plait" plan "$@"
}

# at PATH TEXT: what stands there in ./out
at() {
    checks=$((checks + 1))
    found=$("$json" "$1" <out)
    [ "$found" = "$2" ] || wrong "$1 is $found, not $2"
}

mkdir model
cat >model/config.json <<'END'
{"model_type": "qwen2", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
 "num_key_value_heads": 2, "intermediate_size": 64, "vocab_size": 320, "tie_word_embeddings": true}
END
cat >run.yaml <<'END'
run: {name: small, dir: run, seed: 5}
model.path: model
data: {train_files: [none.jsonl], max_prompt_length: 64, max_response_length: 128, train_batch_size: 4}
rollout: {n: 8, staleness: 1}
trainer.total_training_steps: 50
END

# Memory and work alone take no time.
plan 0 run.yaml --memory
silent err
has out 'small: a model of 29.0k parameters, 50 steps, staleness 1.'
has out 'policy: activations'
has out 'pages of keys and values'
has out 'A step: 4 prompts of 32 tokens, 8 responses each of 64 tokens (the longest 128).'
has out 'they fit'
lacks out 'machines'
lacks out 'critic'
plan 0 run.yaml --memory --json --response-tokens 128 --prompt-tokens 10
at parameters 28960
at step.longest_response 128.0
at step.parts.prefill.rows 40.0
at step.parts.decode.rows 4096.0
at step.parts.critic.rows 0.0
at memory.fits true
ok 'there are no times' test -z "$("$json" machines <out)"

# Rates are measured, and what one run says another reads.
plan 0 run.yaml --json --quiet --machines 1,3
silent err
at measured true
at machines.0.machines 1
at machines.1.actors 2
at machines.1.busy_actors 2
cp out rates.json
for key in forward_flops backward_flops decode_flops optimizer_params publish_bytes; do
    ok "a rate of $key" sh -c "'$json' rates.$key <rates.json | grep -qE '^[1-9]'"
done
plan 0 run.yaml --json --rates rates.json --machines 1,3
silent err
at measured false
ok 'with the same times' test "$("$json" machines <out)" = "$("$json" machines <rates.json)"
plan 0 run.yaml --rates rates.json --color never
has out 'Rates read from a file'
has out 'This is an estimate.'
has out 'On one machine sampling takes'
has out 'machines'

# A made-up machine, with numbers to go by: every operation takes 1 ps, every byte nothing.
cat >fast.json <<'END'
{"cpu": "made up", "threads": 1, "hidden": 1, "ffn": 1, "peak_flops": 1e12, "read_bytes": 1e12,
 "forward_flops": 1e12, "backward_flops": 1e12, "attention_flops": 1e12,
 "attention_backward_flops": 1e12, "decode_bytes": 1e20, "decode_flops": 1e12,
 "decode_attention_flops": 1e12, "optimizer_params": 1e20, "publish_bytes": 1e20}
END
plan 0 run.yaml --rates fast.json --machines 2 --color never rollout.staleness=0
has out 'rollout.staleness=1 would sample the next batch while one is trained'
has out 'made up'

# Recipes on published shapes: PPO has a critic, GRPO has none. A config.json by itself will do.
sed 's/"hidden_size": 32/"hidden_size": 1536/; s/"num_hidden_layers": 2/"num_hidden_layers": 28/
    s/_attention_heads": 4/_attention_heads": 12/; s/": 64/": 8960/; s/": 320/": 151936/' \
    model/config.json >qwen.json
recipes=$source/deploy/recipes/qwen2.5-1.5b
plan 0 "$recipes/interleave-ir.yaml" model.path=qwen.json --rates fast.json --json
at parameters 1543714304
at step.prompts 16.0
at step.updates 4.0
at machines.2.machines 50
at machines.2.busy_actors 16
ok 'PPO has a critic' sh -c "'$json' step.parts.critic.backward_flops <out | grep -qE '^[1-9]'"
plan 0 "$recipes/interleave-ir-grpo.yaml" model.path=qwen.json --memory --json
at step.parts.critic.backward_flops 0.0
plan 0 "$recipes/interleave-ir.yaml" model.path=qwen.json --memory \
    actor.enable_activation_recompute=true
has out 'activations (recomputed)'

# What is wrong is said in one sentence.
plan 2 none.yaml --memory
one_sentence
plan 1 run.yaml --memory model.path=nowhere
one_sentence
has err nowhere
plan 2 run.yaml --memory --response-tokens 129
one_sentence
has err '--response-tokens is 129, over data.max_response_length, which is 128'
for list in 0 1,x 1,-2 2.5; do
    plan 2 run.yaml --rates fast.json --machines $list
    one_sentence
    has err '--machines takes numbers from 1'
done
plan 1 run.yaml --rates run.yaml
one_sentence
echo '{"cpu": "x", "threads": 1, "hidden": 1, "ffn": 1}' >few.json
plan 1 run.yaml --rates few.json
one_sentence
has err peak_flops
plan 2 run.yaml --network 0
plan 2 run.yaml --nonsense
plan 2
finish
