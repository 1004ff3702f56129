#!/bin/sh
# What queues, scoring, broadcast and checkpoints cost of a run's time, one JSON line: a short run of
# `plait up` with 5 M parameters, strictly on-policy, so that nothing hides behind anything else. Of
# each step but the first: what the learner waited longer than the slowest group was being sampled
# (feeding, leases, hand-overs, scoring, weights to the actor), publishing, checkpoints. The aim is
# at most 3 percent.
# Usage: bench_overhead.sh PLAIT
set -eu
plait=$(readlink -f "$1")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
quietly() {
    "$@" >log 2>&1 || {
        cat log >&2
        exit 1
    }
}

cat >config.json <<'END'
{"model_type": "qwen2", "hidden_size": 256, "num_hidden_layers": 6, "num_attention_heads": 4,
 "num_key_value_heads": 2, "intermediate_size": 768, "vocab_size": 320, "rope_theta": 10000.0,
 "max_position_embeddings": 1024, "rms_norm_eps": 1e-6, "tie_word_embeddings": true}
END
quietly "$plait" data generate kk --people 2 --wording plain --names 4 --train 60 --test 6 --seed 3 \
    --split puzzle --output tasks
quietly "$plait" data generate kk --people 2 --wording plain --names 4 --count 200 --seed 4 \
    --answers interleave --output sft.jsonl
quietly "$plait" tokenizer train --size 320 --token '<think>' --token '</think>' \
    --token '<answer>' --token '</answer>' --token '<|interleave|>' --field prompt \
    --field response --output tokenizer sft.jsonl
quietly "$plait" model init config.json base --tokenizer tokenizer
printf '<|interleave|>\n' >instruction.txt
cat >run.yaml <<'END'
run: {name: b, dir: none, seed: 5}
model.path: base
data: {train_files: [tasks/train.jsonl], instruction: instruction.txt, max_prompt_length: 128,
       max_response_length: 256, train_batch_size: 4}
rollout: {n: 8, staleness: 0}
actor: {optim.lr: 1e-4, ppo_max_token_len: 4096}
trainer: {total_training_steps: 6, save_freq: 5}
END
quietly "$plait" up run.yaml run.dir="$dir/run" --quiet

awk '
function field(name,    text) {
    text = $0
    if (!sub(".*\"" name "\": ", "", text))
        return 0
    return text + 0
}
{
    if (NR == 1) # the actor is still starting
        next
    steps++
    wait += field("timing_s/wait") - field("timing_s/gen_slowest")
    publish += field("timing_s/update_weights")
    save += field("timing_s/save_checkpoint")
    all += field("timing_s/step") + field("timing_s/save_checkpoint")
}
END {
    printf "{\"case\":\"overhead\",\"steps\":%d,\"step_s\":%.3f,\"queues_and_scoring\":%.4f,", steps,
        all / steps, wait / all
    printf "\"publish\":%.4f,\"checkpoints\":%.4f,\"overhead\":%.4f,\"aim\":0.03}\n", publish / all,
        save / all, (wait + publish + save) / all
}' run/metrics.jsonl
