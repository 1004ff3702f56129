#!/bin/sh
# Actors that lie: what they hand over is refused or found out, they are quarantined, others make it
# anew, and the run ends with the weights of an honest one.
# Usage: test_trust.sh PLAIT LIAR
set -u
plait=$(readlink -f "$1")
liar=$(readlink -f "$2")
. "$(dirname "$(readlink -f "$0")")/check.sh"
trap 'end_all; rm -rf "$dir"' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
export OMP_WAIT_POLICY=passive
limit_s=${PLAIT_TEST_LIMIT_S:-120} # of one run

if ! command -v redis-server >/dev/null || ! command -v redis-cli >/dev/null; then
    echo "skipped: redis-server is not installed (deploy/install-deps.sh installs it)"
    exit 77
fi

# What runs out of this folder, by its command line: its name is nobody else's.
end_all() {
    for pid in $(pgrep -f "$dir/run-"); do
        kill -9 "$pid" 2>/dev/null
    done
}

say() {
    redis-cli -s "run-$name/redis.sock" "$@" 2>/dev/null
}

running() {
    kill -0 "$run" 2>/dev/null && [ "$(date +%s)" -lt $deadline ]
}

# begin NAME SETTING...: a run whose one honest actor is stopped as soon as it is there
begin() {
    name=$1
    shift
    settings=$*
    "$plait" up run.yaml run.dir="$dir/run-$name" "$@" >"$name.log" 2>&1 &
    run=$!
    deadline=$(($(date +%s) + limit_s))
    honest=
    while running && [ -z "$honest" ]; do
        honest=$(pgrep -P "$run" -f -- '--name=actor-1$')
        [ -n "$honest" ] || sleep 0.02
    done
    kill -STOP "$honest"
}

# lies LIE...: an actor for each, all at once
lies() {
    liars=
    for lie; do
        # shellcheck disable=SC2086 # words
        PLAIT_LIE=$lie "$liar" run.yaml run.dir="$dir/run-$name" $settings --name="liar-$lie" \
            >"$name-$lie.log" 2>&1 &
        liars="$liars $!"
    done
}

# over: the honest one goes on, and the run ends well
over() {
    kill -CONT "$honest"
    while running; do
        sleep 0.05
    done
    checks=$((checks + 1))
    if kill -0 "$run" 2>/dev/null; then
        wrong "$name: not over after $limit_s s"
        tail -n 5 "run-$name"/logs/*.log "$name"-*.log
        say HGETALL "plait:{t}:quarantine"
        end_all
    fi
    wait "$run"
    status=$?
    [ $status -eq 0 ] || {
        wrong "$name: exit status $status, not 0"
        tail -n 5 "run-$name"/logs/*.log "$name.log"
    }
    # shellcheck disable=SC2086 # words
    kill -9 $liars 2>/dev/null
    liars=
}

# matches FILE EXPRESSION: a line of FILE does
matches() {
    checks=$((checks + 1))
    grep -qa -- "$2" "$1" || wrong "$1 should match: $2"
}

same() {
    ok "$1 and $2 end with the same weights" cmp "run-$1/model/model.safetensors" \
        "run-$2/model/model.safetensors"
    ok "$1: each step once" test "$(grep -c pg_loss "run-$1/metrics.jsonl")" -eq "$steps"
}

# ---- a model of random weights; what pays is to be short ----

steps=6
cat >config.json <<'EOF'
{"model_type": "qwen2", "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3,
 "num_key_value_heads": 1, "intermediate_size": 96, "vocab_size": 330, "rope_theta": 10000.0,
 "max_position_embeddings": 512, "rms_norm_eps": 1e-6, "tie_word_embeddings": true}
EOF
expect 0 "$plait" data generate kk --people 2 --wording plain --names 4 --train 60 --test 6 \
    --seed 3 --split puzzle --output tasks
expect 0 "$plait" data generate kk --people 2 --wording plain --names 4 --count 60 --seed 4 \
    --answers interleave --output sft.jsonl
expect 0 "$plait" tokenizer train --size 320 --token '<think>' --token '</think>' \
    --token '<answer>' --token '</answer>' --token '<|interleave|>' --field prompt \
    --field response --output tokenizer sft.jsonl
expect 0 "$plait" model init config.json base --tokenizer tokenizer
printf '<|interleave|>\n' >instruction.txt
cat >run.yaml <<EOF
run: {name: t, dir: none, seed: 5}
model.path: base
data: {train_files: [tasks/train.jsonl], val_files: [tasks/test.jsonl],
       instruction: instruction.txt, max_prompt_length: 128, max_response_length: 48,
       train_batch_size: 12}
rollout: {n: 4, staleness: 1}
reward.overlong_buffer: {len: 47, penalty_factor: 4}
actor: {optim.lr: 1e-3, entropy_coeff: 0.01, ppo_max_token_len: 1024}
trainer: {total_training_steps: $steps, save_freq: 2, test_freq: 3}
workers.actor_slots: 4
link: {lease_s: 1}
EOF
[ $failures -eq 0 ] || finish # nothing to run

liars=
begin honest
over
ok 'it learned something' sh -c '! cmp run-honest/model/model.safetensors base/model.safetensors'
ok 'rewards differ' sh -c \
    "grep -o '\"actor/grad_norm\": [0-9.e-]*' run-honest/metrics.jsonl | grep -qv ': 0\$'"

# ---- what shows by itself: the first group that is not what was asked for is the last ----

all='prompt samples vocabulary version early late finish positive nan name index'
begin plain
# shellcheck disable=SC2086 # words
lies $all
while running && [ "$(say HLEN 'plait:{t}:quarantine')" != 11 ]; do
    sleep 0.1
done
say HGETALL 'plait:{t}:quarantine' >quarantine
say XRANGE 'plait:{t}:dead' - + >dead
"$plait" status run-plain --color never >status
"$plait" status run-plain --json >json
over
for lie in $all; do
    ok "$lie: quarantined" grep -qx "liar-$lie" quarantine
    ok "$lie: named among the dead" grep -qa "by actor 'liar-$lie'" dead
done
has quarantine "its prompt is not what was asked for"
has quarantine "token 0 of the response is 100000; the vocabulary has 330"
has quarantine "which is no end, and the limit is 48"
matches quarantine 'sample [0-3] ends with token 0'
matches quarantine 'log-probability 0 of sample [0-3] is 0.5'
has quarantine "it says that it is by 'actor-1'"
has quarantine "its index is not what was asked for"
has plain-late.log 'quarantine event=begin'
has status 'quarantined liar-name: group '
has json '"liar-index": "group '
same plain honest

# ---- what the learner alone can tell; a text beside the ids, which nobody reads ----

begin hash
lies hash text
while running && ! { say HGET 'plait:{t}:worker:liar-hash' groups | grep -q '[1-9]' &&
    say HGET 'plait:{t}:worker:liar-text' groups | grep -q '[1-9]'; }; do
    sleep 0.1
done
over
has run-hash/logs/learner.log "actor 'liar-hash' sampled with weights that are not those of version"
has hash-hash.log 'quarantine event=begin'
lacks hash-text.log 'quarantine event=begin'
same hash honest

# ---- audits: an honest run is the same with them ----

begin audited audit.share=1 audit.logp_difference=1e-12
over
same audited honest
ok 'all groups of every step were computed again' test \
    "$(grep -c '"audit/groups": 12[,}]' run-audited/metrics.jsonl)" -eq $steps
ok 'and were equal to the bit' test \
    "$(grep -c '"audit/logp_difference/max": 0[,}]' run-audited/metrics.jsonl)" -eq $steps
ok 'the key is for the learner alone' test "$(stat -c '%a %s' run-audited/audit.key)" = '600 32'
lacks run-audited/logs/learner.log quarantine
begin some audit.share=0.3
over
same some honest
ok 'some of them are computed again' sh -c "grep -o '\"audit/groups\": [0-9]*' run-some/metrics.jsonl |
    awk '{ n += \$2 } END { exit n < 5 || n > 45 }'" # of 72

# ---- and one that is not honest is found out, though the learner dies over it ----

begin chosen audit.share=1
lies token logprob
while running && ! { say HGET 'plait:{t}:worker:liar-token' groups | grep -q '[1-9]' &&
    say HGET 'plait:{t}:worker:liar-logprob' groups | grep -q '[1-9]'; }; do
    sleep 0.1
done
kill -CONT "$honest"
while running && ! grep -qs 'quarantine event=begin' run-chosen/logs/learner.log; do
    sleep 0.01
done
pkill -9 -P "$run" -f -- '--name=learner$'
over
has run-chosen/logs/learner.log 'quarantine event=begin actor=liar-token'
has run-chosen/logs/learner.log 'quarantine event=begin actor=liar-logprob'
matches run-chosen/logs/learner.log ': token 0 of sample [0-3] is id'
matches run-chosen/logs/learner.log 'the log-probability of token 0 of sample [0-3] is'
has chosen-token.log 'quarantine event=begin'
same chosen honest

# ---- a mean that is off is enough, where nothing is audited ----

begin mean audit.logp_difference=1e-12
lies logprob
while running && ! say HGET 'plait:{t}:worker:liar-logprob' groups | grep -q '[1-9]'; do
    sleep 0.1
done
over
has run-mean/logs/learner.log 'quarantine event=begin actor=liar-logprob'
has run-mean/logs/learner.log 'its log-probabilities are off by'
same mean honest

finish
