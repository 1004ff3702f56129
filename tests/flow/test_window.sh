#!/bin/sh
# The window of each program: probes through a run's life, metrics that agree with what the run
# wrote, and their form, which promtool looks at where it is.
# Usage: test_window.sh PLAIT GET
set -u
plait=$(readlink -f "$1")
get=$(readlink -f "$2")
build=$(dirname "$(dirname "$plait")")
. "$(dirname "$(readlink -f "$0")")/check.sh"
trap 'end_all; rm -rf "$dir"' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
export OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1
limit_s=${PLAIT_TEST_LIMIT_S:-120}

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

# ---- programs, each by itself ----

redis_up() {
    redis-server --port 0 --unixsocket "$dir/redis.sock" --dir "$dir" --appendonly yes \
        --save '' >>redis.log 2>&1 &
    redis_pid=$!
    for _ in $(seq 600); do
        ! redis-cli -s redis.sock ping 2>/dev/null | grep -q PONG || return 0
        sleep 0.1
    done
    wrong "Redis does not come"
}

# begin ROLE NAME: its process goes to $pid, its address to the file NAME.at
begin() {
    rm -f "$2.at"
    "$build/$1/plait-$1" "$dir/run.yaml" --name="$2" >"$2.log" 2>&1 &
    pid=$!
    wait_for "$2.log" ' http='
    sed -n 's/.* start role=.* http=\([^ ]*\).*/\1/p' "$2.log" | tail -n 1 >"$2.at"
}

# asks NAME PATH: the answer goes to ./answer, its status is $status
asks() {
    said="$1 $2"
    "$get" "$(cat "$1.at")" "$2" >answer 2>err
    status=$?
}

# probe NAME PATH STATUS TEXT: at once
probe() {
    asks "$1" "$2"
    checks=$((checks + 1))
    [ $status -eq "$3" ] && grep -qF -- "$4" answer || {
        wrong "status $status, not $3, with: $4"
        sed 's/^/    answer: /' answer
    }
}

# soon NAME PATH STATUS TEXT: within the limit
soon() {
    deadline=$(($(date +%s) + limit_s))
    while asks "$1" "$2"; [ $status -ne "$3" ] || ! grep -qF -- "$4" answer; do
        [ "$(date +%s)" -lt $deadline ] || break
        sleep 0.1
    done
    probe "$@"
}

# value NAME METRIC: of the last scrape of NAME
value() {
    awk -v name="$2" 'index($0, name " ") == 1 { print $NF }' "$1.metrics"
}

scrape() {
    asks "$1" /metrics
    checks=$((checks + 1))
    [ $status -eq 0 ] || wrong "status $status"
    mv answer "$1.metrics"
}

# equal WHAT A B: two numbers
equal() {
    checks=$((checks + 1))
    awk -v a="$2" -v b="$3" 'BEGIN { exit !(a != "" && b != "" && a - b == 0) }' ||
        wrong "$1: '$2' is not '$3'"
}

# ---- a tiny run, of random weights ----

steps=6
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
run: {name: t, dir: $dir/run, seed: 5}
model.path: $dir/base
data: {train_files: [$dir/tasks/train.jsonl], val_files: [$dir/tasks/test.jsonl],
       instruction: $dir/instruction.txt, max_prompt_length: 128, max_response_length: 48,
       train_batch_size: 12}
rollout: {n: 4, staleness: 1}
reward.overlong_buffer: {len: 47, penalty_factor: 4}
actor: {optim.lr: 1e-3, entropy_coeff: 0.01, ppo_max_token_len: 1024}
trainer: {total_training_steps: $steps, save_freq: 2, test_freq: 3}
workers: {actor_slots: 16, learner_stays: yes}
link: {redis: "unix://$dir/redis.sock", lease_s: 5}
http.listen: 127.0.0.1:0
END
[ $failures -eq 0 ] || finish

# ---- probes through a run's life ----

# Without Redis nothing is ready, but all of it is alive.
begin actor actor-1
actor=$pid
soon actor-1 /startupz 1 'start: it is starting'
probe actor-1 /readyz 1 start
probe actor-1 /livez 0 alive
soon actor-1 /metrics 0 'plait_redis_up{run="t"} 0'

# With Redis it waits for the run that it is to agree with.
redis_up
soon actor-1 /readyz 1 'run: no learner has said anything of this run to Redis yet'
probe actor-1 /startupz 1 'run: no learner'
probe actor-1 /livez 0 alive
probe actor-1 /metrics 0 'plait_up{run="t",state="starting"} 1'
lacks answer plait_weights_version

begin learner learner
learner=$pid
soon learner /startupz 0 started
soon actor-1 /startupz 0 started
probe actor-1 /metrics 0 'plait_up{run="t",state="ready"} 1'
begin rewarder rewarder-1
rewarder=$pid
soon rewarder-1 /readyz 0 ready
soon learner /metrics 0 "plait_step{run=\"t\"} $steps"

# Where each listens is known to Redis.
ok 'the actor says where it listens' test "$(cat actor-1.at)" = \
    "$(redis-cli -s redis.sock HGET 'plait:{t}:worker:actor-1' http)"
ok 'the rewarder too' test "$(cat rewarder-1.at)" = \
    "$(redis-cli -s redis.sock HGET 'plait:{t}:worker:rewarder-1' http)"
ok 'and the learner' test "$(cat learner.at)" = \
    "$(redis-cli -s redis.sock HGET 'plait:{t}:run' http)"

# ---- what they counted is what the run wrote ----

wait_for learner.log 'stay step='
# What the learner shows of Redis is a survey, told again for two seconds; the actor fetches the last
# version when it hears of it.
settled() {
    asks learner /metrics && cp answer learner.metrics && asks actor-1 /metrics &&
        cp answer actor-1.metrics &&
        awk -v fed="$(value learner 'plait_ledger_groups{run="t",part="fed"}')" \
            -v trained="$(value learner 'plait_ledger_groups{run="t",part="trained"}')" \
            -v lag="$(value learner 'plait_policy_lag{run="t",stat="max"}')" \
            -v depth="$(value learner 'plait_queue_depth{run="t",queue="prompts"}')" \
            -v version="$(value actor-1 'plait_weights_version{run="t"}')" \
            'BEGIN { exit !(fed > 0 && fed == trained && lag == "0" && depth == "0" && version == '$((steps + 1))') }'
}
deadline=$(($(date +%s) + limit_s))
until settled || [ "$(date +%s)" -ge $deadline ]; do sleep 0.1; done
for name in actor-1 rewarder-1 learner; do
    scrape $name
    if command -v promtool >/dev/null; then
        expect 0 promtool check metrics <"$name.metrics"
        silent err
    fi
    ok "$name: each series once" sh -c \
        "test \$(grep -v '^#' $name.metrics | sed 's/ [^ ]*\$//' | sort | uniq -d | wc -l) -eq 0"
done
l='run="t"'
groups=$(redis-cli -s redis.sock FCALL plait1_ledger 1 'plait:{t}:' | sed -n 1p)
equal 'groups handed over' "$(value actor-1 "plait_deliveries_total{$l,queue=\"prompts\",outcome=\"done\"}")" "$groups"
equal 'groups scored' "$(value rewarder-1 "plait_groups_scored_total{$l}")" "$groups"
equal 'groups fed' "$(value learner "plait_ledger_groups{$l,part=\"fed\"}")" "$groups"
equal 'groups trained' "$(value learner "plait_ledger_groups{$l,part=\"trained\"}")" "$groups"
equal 'samples' "$(awk '/^plait_rollouts_total/ { n += $NF } END { print n }' actor-1.metrics)" \
    "$(cat run/rollouts/*.jsonl | wc -l)"
equal 'verdicts' "$(awk '/^plait_verdicts_total/ { n += $NF } END { print n }' rewarder-1.metrics)" \
    "$(cat run/rollouts/*.jsonl | wc -l)"
equal 'tokens' "$(value actor-1 "plait_tokens_generated_total{$l}")" \
    "$(sed -n 's/.* finished group=.* tokens=\([0-9]*\).*/\1/p' actor-1.log | awk '{ n += $1 } END { print n }')"
equal 'steps seen' "$(value learner "plait_step_duration_seconds_count{$l}")" $steps
equal 'the version' "$(value learner "plait_policy_version{$l}")" $((steps + 1))
equal 'the version of the actor' "$(value actor-1 "plait_weights_version{$l}")" $((steps + 1))
equal 'snapshots' "$(value actor-1 "plait_weights_fetched_total{$l,kind=\"snapshot\"}")" 1
equal 'workers' "$(value learner "plait_workers{$l,role=\"actor\"}")" 1
equal 'lag' "$(value learner "plait_policy_lag{$l,stat=\"max\"}")" 0
equal 'queues are empty' "$(value learner "plait_queue_depth{$l,queue=\"prompts\"}")" 0
last=$(grep pg_loss run/metrics.jsonl | tail -n 1)
for pair in plait_reward_mean=critic/score/mean plait_grad_norm=actor/grad_norm \
    plait_policy_loss=actor/pg_loss plait_response_length_mean_tokens=response_length/mean; do
    equal "$pair" "$(value learner "${pair%%=*}{$l}" | xargs printf '%.6g')" \
        "$(printf '%s' "$last" | sed "s,.*\"${pair#*=}\": \([^,}]*\).*,\1," | xargs printf '%.6g')"
done
equal 'accuracy of the last evaluation' "$(value learner "plait_evaluation_accuracy_ratio{$l}")" \
    "$(grep val-core run/metrics.jsonl | tail -n 1 | sed 's,.*"val-core/acc": \([^,}]*\).*,\1,')"
ok 'weights were sent' test "$(value learner "plait_weights_sent_bytes_total{$l}" | cut -d. -f1)" -gt 10000

# ---- Redis goes and comes; the learner goes; they drain ----

kill -9 $redis_pid
for name in actor-1 rewarder-1; do
    soon $name /readyz 1 redis
    probe $name /livez 0 alive
    probe $name /startupz 0 started
    probe $name /metrics 0 'plait_redis_up{run="t"} 0'
done
soon learner /metrics 0 'plait_survey_up{run="t"} 0'
lacks answer plait_queue_depth
redis_up
for name in actor-1 rewarder-1; do
    soon $name /readyz 0 ready
    soon $name /metrics 0 'plait_redis_up{run="t"} 1'
    scrape $name
    ok "$name: it connected again" test \
        "$(value $name "plait_reconnects_total{$l,peer=\"redis\"}")" -ge 1
done
soon learner /metrics 0 plait_queue_depth

kill -TERM $learner
wait $learner
ok 'the learner left' test $? -eq 0
for _ in 1 2 3 4 5; do # that is nothing against the actor, and does not become so
    probe actor-1 /readyz 0 ready
    probe actor-1 /livez 0 alive
    sleep 0.2
done

kill -TERM $actor
wait $actor
ok 'the actor left' test $? -eq 0
kill -TERM $rewarder
wait $rewarder
ok 'the rewarder left' test $? -eq 0

# ---- who is looked at does the same ----

expect 0 "$plait" up run.yaml run.dir="$dir/plain" http.listen= link.redis= workers.learner_stays=no
ok 'a run without windows ends with the same weights' cmp run/model/model.safetensors \
    plain/model/model.safetensors

# ---- groups that take long keep an actor from leaving: it drains ----

sed 's/"max_position_embeddings": 512/"max_position_embeddings": 8192/' config.json >long.json
expect 0 "$plait" model init long.json long --tokenizer tokenizer
sed -e 's/name: t,/name: d,/' -e "s,dir: $dir/run,dir: $dir/drain," \
    -e "s,model.path: .*,model.path: $dir/long," -e 's/max_response_length: 48/max_response_length: 6000/' \
    -e 's/len: 47, penalty_factor: 4/len: 0/' -e 's/ppo_max_token_len: 1024/ppo_max_token_len: 8192/' run.yaml >drain.yaml
mv drain.yaml run.yaml
begin learner learner
learner=$pid
begin actor actor-2
actor=$pid
soon actor-2 /startupz 0 started
wait_for actor-2.log 'leased group='
kill -TERM $actor
soon actor-2 /readyz 1 draining
probe actor-2 /livez 0 alive
probe actor-2 /metrics 0 'plait_up{run="d",state="draining"} 1'
kill -9 $actor $learner

# ---- settings ----

expect 2 "$build/actor/plait-actor" run.yaml --name=x http.listen=here
has err "http.listen: 'here' is no address to listen on; HOST:PORT or HOST:PORT-PORT is expected"
command -v promtool >/dev/null ||
    echo "promtool is not installed: the form of the metrics was not looked at"
finish
