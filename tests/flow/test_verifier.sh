#!/bin/sh
# A verifier of one's own that crashes, hangs and fails for a while, at the settings that a user has: no
# reward comes of it, the run ends with the weights of an undisturbed one, and nothing that it started
# is left.
# Usage: test_verifier.sh PLAIT
set -u
plait=$(readlink -f "$1")
. "$(dirname "$(readlink -f "$0")")/check.sh"
trap 'end_all; rm -rf "$dir"' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
export OMP_WAIT_POLICY=passive
limit_s=${PLAIT_TEST_LIMIT_S:-240} # of one run

if ! command -v redis-server >/dev/null || ! command -v redis-cli >/dev/null; then
    echo "skipped: redis-server is not installed (deploy/install-deps.sh installs it)"
    exit 77
fi

# What runs out of this folder, by its command line: its name is nobody else's.
end_all() {
    for pid in $(pgrep -f "$dir/"); do
        kill -9 "$pid" 2>/dev/null
    done
}

begin() { # NAME SETTING...
    name=$1
    shift
    "$plait" up run.yaml run.dir="$dir/run-$name" "$@" >"$name.log" 2>&1 &
    run=$!
    deadline=$(($(date +%s) + limit_s))
}

running() {
    kill -0 "$run" 2>/dev/null && [ "$(date +%s)" -lt $deadline ]
}

# until_true WHAT COMMAND...: while the run goes on
until_true() {
    what=$1
    shift
    while running; do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.05
    done
    wrong "$name: $what: not before its end, or within $limit_s s"
    tail -n 5 "run-$name"/logs/*.log "$name.log"
    return 1
}

over() {
    while running; do
        sleep 0.05
    done
    checks=$((checks + 1))
    kill -0 "$run" 2>/dev/null && wrong "$name: not over after $limit_s s" && end_all
    wait "$run"
    status=$?
    [ $status -eq 0 ] || {
        wrong "$name: exit status $status, not 0"
        tail -n 5 "run-$name"/logs/*.log "$name.log"
    }
}

same() {
    ok "$name ends with the weights of an undisturbed run" cmp "run-$name/model/model.safetensors" \
        run-quiet/model/model.safetensors
    ok "$name: each step once" test "$(grep -c pg_loss "run-$name/metrics.jsonl")" -eq $steps
    ok "$name: nothing was dropped" sh -c \
        "! grep -o '\"training/dropped_groups\": [0-9.]*' run-$name/metrics.jsonl | grep -qv ': 0\$'"
}

nothing_left() {
    for _ in $(seq 200); do
        pgrep -f "$dir/sleeper" >left || break
        sleep 0.05
    done
    ok "nothing of $name is left" test ! -s left
}

# ---- a model of random weights; a program says which of its answers are right ----

steps=4
cat >config.json <<'EOF'
{"model_type": "qwen2", "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3,
 "num_key_value_heads": 1, "intermediate_size": 96, "vocab_size": 330, "rope_theta": 10000.0,
 "max_position_embeddings": 512, "rms_norm_eps": 1e-6, "tie_word_embeddings": true}
EOF
expect 0 "$plait" data generate kk --people 2 --wording plain --names 4 --train 40 --test 6 \
    --seed 3 --split puzzle --output tasks
expect 0 "$plait" data generate kk --people 2 --wording plain --names 4 --count 60 --seed 4 \
    --answers interleave --output sft.jsonl
expect 0 "$plait" tokenizer train --size 320 --token '<think>' --token '</think>' \
    --token '<answer>' --token '</answer>' --token '<|interleave|>' --field prompt \
    --field response --output tokenizer sft.jsonl
expect 0 "$plait" model init config.json base --tokenizer tokenizer
sed 's/"verifier": *"kk"/"verifier": "exec"/' tasks/train.jsonl >train.jsonl
ok 'tasks are for a program' grep -q '"verifier": "exec"' train.jsonl
mkdir state
ln -s "$(command -v sleep)" sleeper
# What goes wrong is named by files; what it starts hides in a session of its own.
cat >check.sh <<'EOF'
state=$1
setsid "$2/sleeper" 1000 >/dev/null 2>&1 &
while IFS= read -r line; do
    n=$(cat "$state/asked" 2>/dev/null || echo 0)
    echo $((n + 1)) >"$state/asked"
    if [ -e "$state/flaky" ]; then
        case $((n % 9)) in
        3) exit 1 ;;
        5) kill -KILL $$ ;;
        7) sleep 1000 ;;
        8) echo 'Traceback (most recent call last):' ;;
        esac
    fi
    case $line in
    *'"id":"'*[05]'","question":'*) [ ! -e "$state/trouble" ] || exit 1 ;;
    esac
    if [ $((${#line} % 3)) -eq 0 ]; then echo '{"correct":true}'; else echo '{"correct":false}'; fi
done
EOF
cat >run.yaml <<EOF
run: {name: t, dir: none, seed: 5}
model.path: base
data: {train_files: [train.jsonl], method: direct, instruction: none, max_prompt_length: 128,
       max_response_length: 24, train_batch_size: 4}
rollout: {n: 4, staleness: 1}
reward.exec: {command: [sh, $dir/check.sh, $dir/state, $dir], timeout_s: 5}
actor: {optim.lr: 1e-3, ppo_max_token_len: 1024}
trainer: {total_training_steps: $steps}
workers: {actor_slots: 4}
EOF
[ $failures -eq 0 ] || finish # nothing to run

begin quiet
over
ok 'the program decides' sh -c \
    "grep -o '\"actor/grad_norm\": [0-9.e-]*' run-quiet/metrics.jsonl | grep -qv ': 0\$'"
lacks run-quiet/metrics.jsonl training/unverified
nothing_left

# It crashes, is killed, hangs, writes nonsense: asked once more it answers.
rm -f state/asked
touch state/flaky
begin flaky reward.exec.timeout_s=0.4
over
rm state/flaky
same
nothing_left

# It fails with some answers for as long as it does: their groups wait, parked in the end, and the run with
# them; it says so, and nobody is paid or charged for it. Meanwhile the rewarder is killed.
rm -f state/asked
touch state/trouble
begin trouble
is_unverified() {
    grep -q 'unverified group=.* reason="sample .*: verifier failed: it ended with status 1"' \
        run-trouble/logs/rewarder-1.log
}
is_parked() {
    redis-cli -s run-trouble/redis.sock HLEN 'plait:{t}:parked' | grep -q '^[1-9]'
}
if until_true 'groups are set back' is_unverified; then
    # What the first rewarder's had started goes with it.
    started() {
        pgrep -f "$dir/sleeper" >before
    }
    gone() {
        while read -r pid; do
            ! kill -0 "$pid" 2>/dev/null || return 1
        done <before
    }
    rewarder=$(pgrep -P "$run" -f -- '--name=rewarder-1$')
    until_true 'it has started something' started
    kill -9 "$rewarder"
    until_true 'what the killed rewarder had started is gone' gone
    until_true 'a group is parked' is_parked
    expect 0 "$plait" dead ls run-trouble
    has out 'workers failed with it: '
fi
rm state/trouble
"$plait" dead retry run-trouble --all >out 2>err
over
same
has run-trouble/metrics.jsonl training/unverified
nothing_left
finish
