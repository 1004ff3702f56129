#!/bin/sh
# A real Prometheus, on loopback, with the configuration that is installed, over a tiny run: every
# query of the dashboard is asked and has an answer, or none by right; no query and no alert names a
# metric that no program shows; the rules are evaluated, and an actor that is killed is missed.
# Usage: test_prometheus.sh PLAIT GET SOURCE
set -u
plait=$(readlink -f "$1")
get=$(readlink -f "$2")
source=$(readlink -f "$3")
build=$(dirname "$(dirname "$plait")")
. "$(dirname "$(readlink -f "$0")")/check.sh"
trap 'end_all; rm -rf "$dir"' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
export OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1
limit_s=${PLAIT_TEST_LIMIT_S:-240}

for program in redis-server redis-cli prometheus promtool; do
    command -v $program >/dev/null || {
        echo "skipped: $program is not installed (deploy/install-deps.sh --full installs it)"
        exit 77
    }
done

# What runs out of this folder, by its command line: its name is nobody else's.
end_all() {
    for pid in $(pgrep -f "$dir/"); do
        kill -9 "$pid" 2>/dev/null
    done
}

# ---- a tiny run that learns a little, and stays ----

cat >config.json <<'END'
{"model_type": "qwen2", "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3,
 "num_key_value_heads": 1, "intermediate_size": 96, "vocab_size": 330, "rope_theta": 10000.0,
 "max_position_embeddings": 512, "rms_norm_eps": 1e-6, "tie_word_embeddings": true}
END
expect 0 "$plait" data generate kk --people 2 --wording plain --names 4 --train 60 --test 6 \
    --seed 3 --split puzzle --output tasks
expect 0 "$plait" data generate kk --people 2 --wording plain --names 4 --count 60 --seed 4 \
    --answers interleave --output sft.jsonl
expect 0 "$plait" tokenizer train --size 320 --token '<think>' --token '</think>' \
    --token '<answer>' --token '</answer>' --token '<|interleave|>' --field prompt \
    --field response --output tokenizer sft.jsonl
expect 0 "$plait" model init config.json base --tokenizer tokenizer
printf '<|interleave|>\n' >instruction.txt
cat >run.yaml <<END
run: {name: tiny, dir: $dir/run, seed: 5}
model.path: $dir/base
data: {train_files: [$dir/tasks/train.jsonl], val_files: [$dir/tasks/test.jsonl],
       instruction: $dir/instruction.txt, max_prompt_length: 128, max_response_length: 48,
       train_batch_size: 12}
rollout: {n: 4, staleness: 1}
reward.overlong_buffer: {len: 47, penalty_factor: 4}
actor: {optim.lr: 1e-4, entropy_coeff: 0.01, ppo_max_token_len: 1024}
trainer: {total_training_steps: 100000, save_freq: 50, test_freq: 20}
workers: {actor_slots: 16}
link: {redis: "unix://$dir/redis.sock", lease_s: 5}
http.listen: 127.0.0.1:0
END
[ $failures -eq 0 ] || finish
redis-server --port 0 --unixsocket "$dir/redis.sock" --dir "$dir" --save '' >redis.log 2>&1 &
for _ in $(seq 600); do
    ! redis-cli -s redis.sock ping 2>/dev/null | grep -q PONG || break
    sleep 0.1
done
for pair in learner:learner rewarder:rewarder-1 actor:actor-1 actor:actor-2; do
    "$build/${pair%:*}/plait-${pair%:*}" "$dir/run.yaml" --name="${pair#*:}" >"${pair#*:}.log" 2>&1 &
    killed=$! # the last one: actor-2
done
for _ in $(seq 300); do # until each has said to Redis where it listens
    "$source/deploy/prometheus/targets" tiny -s redis.sock >targets.yaml 2>/dev/null
    [ "$(grep -c 127.0.0.1 targets.yaml)" -lt 4 ] || break
    sleep 0.1
done
ok 'four programs listen' test "$(grep -c 127.0.0.1 targets.yaml)" -eq 4

# ---- Prometheus ----

mkdir plait
mv targets.yaml plait/tiny.yaml
sed 's/_interval: .*s$/_interval: 1s/' "$source/deploy/prometheus/prometheus.yml" >prometheus.yml
cp "$source/deploy/prometheus/alerts.yaml" .
port=
for try in $(seq 9790 9799); do
    prometheus --config.file="$dir/prometheus.yml" --storage.tsdb.path="$dir/tsdb" \
        --web.listen-address="127.0.0.1:$try" >prometheus.log 2>&1 &
    prometheus_pid=$!
    for _ in $(seq 600); do
        kill -0 $prometheus_pid 2>/dev/null || break
        if grep -q 'Server is ready' prometheus.log; then
            port=$try
            break 2
        fi
        sleep 0.1
    done
done
ok 'Prometheus is there' test -n "$port"
[ -n "$port" ] || {
    tail -n 5 prometheus.log
    finish
}

# query EXPRESSION: what Prometheus says, in ./said
query() {
    promtool query instant "http://127.0.0.1:$port" "$1" >said.raw 2>&1
    status=$?
    grep . said.raw >said # no answer is an empty line
    return $status
}

# until_query EXPRESSION: there is an answer, within the limit
until_query() {
    deadline=$(($(date +%s) + limit_s))
    while query "$1" && [ ! -s said ] && [ "$(date +%s)" -lt $deadline ]; do
        sleep 0.5
    done
    ok "within $limit_s s: $1" test -s said
}

until_query 'count(up{job="plait"} == 1) == 4'
until_query 'plait_step{run="tiny"} > 25' # an evaluation is over, too
until_query 'count_over_time(plait_step{run="tiny"}[5m]) > 15'

# ---- the dashboard ----

dashboard=$source/deploy/grafana/plait.json
sed -n 's/^ *"expr": "\(.*\)",$/\1/p' "$dashboard" | sed 's/\\"/"/g' >queries
ok 'there are queries' test "$(wc -l <queries)" -gt 50
ok 'each is read' test "$(wc -l <queries)" -eq "$(grep -c '"expr"' "$dashboard")"
# Without an answer by right: there is no critic in grpo. Those that depend on when one asks: of random
# weights there is a step in which some sample has an answer, or a right one, or there is none.
echo 'max(plait_value_loss{run="tiny"})' >empty
printf 'max(%s{run="tiny"})\n' plait_ttfa_tokens plait_ttfa_right_tokens >either
sed 's/\$run/tiny/g; s/\$__rate_interval/15s/g' queries >asked
while IFS= read -r expr; do
    checks=$((checks + 1))
    if ! query "$expr"; then
        wrong "this is no query: $expr: $(cat said)"
    elif grep -qxF -- "$expr" either; then
        :
    elif grep -qxF -- "$expr" empty; then
        [ ! -s said ] || wrong "this has an answer, and is not expected to: $expr"
    elif [ ! -s said ]; then
        wrong "this has no answer: $expr"
    fi
done <asked
query 'count(count by (run) (plait_build_info))'
ok 'the variable finds the run' grep -q '=> 1 ' said

# names FILE: of metrics, without what histograms put behind them
names() {
    grep -oE '\b(plait|process)_[a-z_]+' "$1" | grep -vx 'plait_' |
        sed -E 's/_(bucket|sum|count)$//' | sort -u
}

for at in $(grep -o '127.0.0.1:[0-9]*' plait/tiny.yaml); do
    "$get" "$at" /metrics
done >shown
sed -n 's/^# TYPE \([^ ]*\) .*/\1/p' shown | sort -u >exported
names empty >>exported
names either >>exported
sed 's/^ *expr: *//' alerts.yaml | grep -v -e summary: -e runbook: >rules
cat queries rules >uses
for name in $(names uses); do
    ok "$name is shown by a program" grep -qx "$name" exported
done
ok 'names are found' test "$(names uses | wc -l)" -gt 40

# ---- the alerts ----

"$get" "127.0.0.1:$port" /api/v1/rules >rules.json
ok 'each rule is evaluated' test "$(grep -o '"health":"ok"' rules.json | wc -l)" -eq \
    "$(grep -c -- '- alert:' alerts.yaml)"
ok 'there are rules' test "$(grep -c -- '- alert:' alerts.yaml)" -ge 10
query 'ALERTS{alertstate="firing"}'
silent said
kill -9 $killed
until_query 'ALERTS{alertname="PlaitActorLost"}'

finish
