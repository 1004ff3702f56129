#!/bin/sh
# The same bytes: a short run of reinforcement learning ends with the same weights with one actor,
# with two and with four, with one thread and with two, when processes of every role are killed, and
# when Redis is killed and emptied. For each staleness by itself.
# Usage: test_up.sh PLAIT [SEED]
set -u
plait=$(readlink -f "$1")
seed=${2:-1}
. "$(dirname "$(readlink -f "$0")")/check.sh"
trap 'end_all; rm -rf "$dir"' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
export OMP_WAIT_POLICY=passive
limit_s=${PLAIT_TEST_LIMIT_S:-120} # of one run; some take five times as long with sanitizers

if ! command -v redis-server >/dev/null || ! command -v redis-cli >/dev/null; then
    echo "skipped: redis-server is not installed (deploy/install-deps.sh installs it)"
    exit 77
fi

start=$(date +%s%N)
say() {
    echo "[$((($(date +%s%N) - start) / 1000000)) ms] $*"
}

# below N: a number from 0 to N - 1, drawn from the seed
drawn=$seed
below() {
    drawn=$(((drawn * 1103515245 + 12345) & 0x7fffffff))
    number=$((drawn / 65536 % $1))
}

# shuffled WORD...: the words in another order, in $words
shuffled() {
    words=
    while [ $# -gt 0 ]; do
        below $#
        rest= i=0
        for word; do
            if [ $i -eq "$number" ]; then words="$words $word"; else rest="$rest $word"; fi
            i=$((i + 1))
        done
        # shellcheck disable=SC2086 # words
        set -- $rest
    done
}

# What runs out of this folder, by its command line: its name is nobody else's.
end_all() {
    for pid in $(pgrep -f "$dir/run-"); do
        kill -9 "$pid" 2>/dev/null
    done
}

# ---- runs ----

# begin NAME SETTING...
begin() {
    name=$1 said="run $*"
    shift
    say "$said"
    "$plait" up run.yaml run.dir="$dir/run-$name" "$@" >"$name.log" 2>&1 &
    run=$!
    deadline=$(($(date +%s) + limit_s))
}

running() {
    kill -0 "$run" 2>/dev/null && [ "$(date +%s)" -lt $deadline ]
}

# at STEP: waits until that many lines of steps were written, or the run is over
at() {
    while running && ! grep -qs "\"training/global_step\": $1,.*pg_loss" "run-$name/metrics.jsonl"; do
        sleep 0.02
    done
}

# murder MEMBER [SIGNAL]: SIGKILL, as soon as it is there
murder() {
    case $1 in
    redis) like="redis-server .*$dir/run-$name/" ;;
    *) like="--name=$1\$" ;;
    esac
    while running; do
        victim=$(pgrep -P "$run" -f -- "$like")
        if [ -n "$victim" ] && kill -"${2-KILL}" "$victim" 2>/dev/null; then
            say "    killed $1${2:+ by $2}"
            kills=$((kills + 1))
            return
        fi
        sleep 0.02
    done
}

tell_why() {
    echo "    what plait up said:"
    tail -n 5 "$name.log" | tr '\r' '\n' | tail -n 5 | sed 's/^/        /'
    for log in "run-$name"/logs/*.log; do
        echo "    the end of $log:"
        tail -n 8 "$log" | cut -c 1-300 | sed 's/^/        /'
    done
    redis-cli -s "run-$name/redis.sock" --scan 2>/dev/null | grep -v ':groups:' | sort | sed 's/^/        /'
}

nobody() {
    ! pgrep -f "$dir/run-$name"
}

# over: waits for the end, which must be a good one
over() {
    while running; do
        sleep 0.05
    done
    checks=$((checks + 1))
    if kill -0 "$run" 2>/dev/null; then
        wrong "not over after $limit_s s"
        tell_why
        end_all
    fi
    wait "$run"
    status=$?
    [ $status -eq 0 ] || {
        wrong "exit status $status, not 0"
        tell_why
    }
    ok "$name: no process is left" nobody
}

up() {
    begin "$@"
    over
}

sum() {
    sha256sum "$1" | cut -d ' ' -f 1
}

# same NAME NAME
same() {
    ok "$1 and $2 end with the same weights" cmp "run-$1/model/model.safetensors" \
        "run-$2/model/model.safetensors"
    ok "$1 and $2 keep the same policy as the best" sh -c \
        "cmp run-$1/best/model.safetensors run-$2/best/model.safetensors &&
        cmp run-$1/best/evaluation.json run-$2/best/evaluation.json"
    ok "$1: each step once" test "$(grep -c pg_loss "run-$1/metrics.jsonl")" -eq "$steps"
    ok "$1: each evaluation once" test "$(grep -c val-core/ "run-$1/metrics.jsonl")" -eq 3
}

# ---- a model that knows the form a little: its rewards differ from sample to sample ----

say "seed $seed"
steps=10
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
run: {name: t, dir: none, seed: 5}
model.path: sft/model
data: {train_files: [tasks/train.jsonl], val_files: [tasks/test.jsonl],
       instruction: instruction.txt, max_prompt_length: 128, max_response_length: 96,
       train_batch_size: 6}
rollout: {n: 4, staleness: 1}
reward.unparsed: -0.5
actor: {optim.lr: 1e-3, ppo_max_token_len: 1024, ppo_mini_batch_size: 3}
trainer: {total_training_steps: $steps, save_freq: 2, test_freq: 5}
workers.actor_slots: 16
link: {lease_s: 1}
END

expect 0 "$plait" up run.yaml run.dir=none --dry-run
has out 'rollout.staleness: 1'
expect 2 "$plait" up run.yaml run.dir=none rollout.nn=3
has err "unknown setting 'rollout.nn'; did you mean 'rollout.n'?"

[ $failures -eq 0 ] || finish # nothing to run

# ---- the runs ----

# Kills of every role, each once in each half, at steps that are drawn.
killed() {
    kills=0
    begin "$@"
    for half in 0 1; do
        shuffled redis learner actor-1 actor-2 rewarder-1
        for member in $words; do
            below 2
            at $((1 + half * steps / 2 + number))
            below 200
            sleep 0.0$((10 + number / 3))
            murder "$member"
        done
    done
    over
    ok "$kills processes were killed" test $kills -ge 4
}

# Redis is emptied, then killed; at last the learner is asked to stop, by somebody who is not plait up.
emptied() {
    kills=0
    begin "$@"
    at 2
    redis-cli -s "run-$name/redis.sock" FLUSHALL >/dev/null
    say "    emptied Redis"
    at 4
    murder redis
    at 6
    murder learner TERM
    over
    ok 'Redis was killed, the learner stopped' test $kills -eq 2
}

for s in 1 0; do
    up "one-$s" rollout.staleness=$s link.score=ipc
    has "one-$s.log" "done: the model is in '$dir/run-one-$s/model'"
    ok 'it learned something' test "$(sum "run-one-$s/model/model.safetensors")" != \
        "$(sum sft/model/model.safetensors)"
    ok 'steps and three evaluations' test "$(wc -l <"run-one-$s/metrics.jsonl")" -eq $((steps + 3))
    ok 'log-probabilities are equal to the bit' test \
        "$(grep -c '"sampling/sampling_logp_difference/max": 0[,}]' "run-one-$s/metrics.jsonl")" \
        -eq $steps
    has "run-one-$s/logs/rewarder-1.log" "scores event=open endpoint=ipc://$dir/run-one-$s/rewarder-1.sock"
    best=$(sed -n 's/.*"step": \([0-9]*\).*/\1/p' "run-one-$s/best/evaluation.json")
    ok 'the best is that of the metrics' test "$best" = "$(grep val-core/ "run-one-$s/metrics.jsonl" |
        sed 's/.*global_step": \([0-9]*\), .*val-core\/acc": \([0-9.e-]*\),.*/\2 \1/' |
        sort -k 1,1gr -k 2,2n | sed -n '1s/.* //p')"
    case $best in
    0) like=sft/model ;;
    "$steps") like=run-one-$s/model ;;
    *) like= ;; # the weights of a step between are not kept anywhere else
    esac
    [ -z "$like" ] || ok "the best is $like" cmp "$like/model.safetensors" \
        "run-one-$s/best/model.safetensors"
    ok 'a file for TensorBoard' test -s "run-one-$s"/events.out.tfevents.*
    ok 'gradients that are not all zero' sh -c \
        "grep -o '\"actor/grad_norm\": [0-9.e-]*' run-one-$s/metrics.jsonl | grep -qv ': 0\$'"
    ok 'rollouts with their rewards' grep -q '"reward_intermediate":' "run-one-$s/rollouts/$steps.jsonl"
    ok 'rollouts with their tasks' grep -q '"level":"[0-9]*","truth":"' "run-one-$s/rollouts/$steps.jsonl"
    ok 'what rewards are made of adds up' awk '{
        gsub(/[",]/, "")
        for (i = 1; i < NF; i++) m[$i] = $(i + 1)
        d = m["interleave/reward_format:"] + m["interleave/reward_final:"] \
            + m["interleave/reward_intermediate:"] - m["critic/score/mean:"]
        if (/val-core/) next
        n++
        bad += !("interleave/reward_final:" in m) || d > 1e-5 || d < -1e-5
    } END { exit n == 0 || bad > 0 }' "run-one-$s/metrics.jsonl"

    up "two-$s" rollout.staleness=$s workers.actors=2
    same "two-$s" "one-$s"
    up "four-$s" rollout.staleness=$s workers.actors=4 workers.actor_threads=1 \
        workers.learner_threads=1 workers.rewarders=2
    same "four-$s" "one-$s"
    killed "killed-$s" rollout.staleness=$s workers.actors=2
    same "killed-$s" "one-$s"
    emptied "emptied-$s" rollout.staleness=$s
    same "emptied-$s" "one-$s"
done
ok 'staleness matters' sh -c "! cmp run-one-0/model/model.safetensors run-one-1/model/model.safetensors"
say "seed $seed: all runs are over"
# ---- the newest version instead of a pinned one: not the same bytes, but nothing is lost ----

kills=0
begin latest rollout.mode=latest workers.actors=2
at 3
murder actor-1
at 6
murder actor-2
looks=0 unbalanced=0 # fed = trained + dropped + what is under way, whenever one looks
while running; do
    redis-cli -s run-latest/redis.sock FCALL plait1_ledger 1 'plait:{t}:' >ledger 2>/dev/null
    if [ "$(wc -l <ledger)" -eq 11 ]; then
        looks=$((looks + 1))
        awk '{ n[NR] = $1 } END { exit n[1] == 0 || n[1] != n[2] + n[3] + n[4] + n[5] + n[7] + n[11] }' \
            ledger || unbalanced=$((unbalanced + 1))
    fi
    sleep 0.05
done
over
ok "the ledger was looked at ($looks times)" test $looks -gt 0
ok 'and balanced each time' test $unbalanced -eq 0
ok 'both actors were killed' test $kills -eq 2
ok 'each step once' test "$(grep -c pg_loss run-latest/metrics.jsonl)" -eq "$steps"
grep pg_loss run-latest/metrics.jsonl | tr ',' '\n' |
    awk '/"training\/global_step"/ { n++ } /trajectory_staleness\/hist\// { sum[n] += $NF }
        END { for (i = 1; i <= n; i++) print sum[i] }' >ages
ok 'every sample of a step has an age' test "$(sort -u ages)" = 24
ok 'and a weight' test "$(grep -c rollout_corr/rollout_is_mean run-latest/metrics.jsonl)" -eq "$steps"

finish
