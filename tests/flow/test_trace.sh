#!/bin/sh
# `plait trace` and `plait top` of a real run: an actor is killed while it has groups, and the story of one of them
# says so, from JSON logs and from text, from files and from standard input, with Redis and without.
# Each line that the programs log as JSON is an object.
# Usage: test_trace.sh PLAIT JSON
set -u
plait=$(readlink -f "$1")
json=$(readlink -f "$2")
. "$(dirname "$(readlink -f "$0")")/check.sh"
trap 'end_all; rm -rf "$dir"' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
export OMP_WAIT_POLICY=passive
limit_s=${PLAIT_TEST_LIMIT_S:-120}

if ! command -v redis-server >/dev/null; then
    echo "skipped: redis-server is not installed (deploy/install-deps.sh installs it)"
    exit 77
fi

# What runs out of this folder, by its command line: its name is nobody else's.
end_all() {
    for pid in $(pgrep -f "$dir/run"); do
        kill -9 "$pid" 2>/dev/null
    done
}

# begin SETTING...
begin() {
    "$plait" up run.yaml run.dir="$dir/run" "$@" >up.log 2>&1 &
    run=$!
    deadline=$(($(date +%s) + limit_s))
}

running() {
    kill -0 "$run" 2>/dev/null && [ "$(date +%s)" -lt $deadline ]
}

# over STATUS
over() {
    while running; do
        sleep 0.05
    done
    checks=$((checks + 1))
    kill -0 "$run" 2>/dev/null && wrong "not over after $limit_s s"
    wait "$run"
    status=$?
    [ $status -eq "$1" ] || {
        wrong "plait up ended with status $status, not $1"
        tail -n 20 up.log run/logs/*.log
    }
}

# matches FILE REGEX: a line of FILE does
matches() {
    checks=$((checks + 1))
    grep -q -- "$2" "$1" || wrong "$1 should have a line like: $2"
}

# at PATH TEXT: what stands there in ./out
at() {
    checks=$((checks + 1))
    found=$("$json" "$1" <out)
    [ "$found" = "$2" ] || wrong "$1 is $found, not $2"
}

# groups EVENT LOG: those that a JSON log says so of
groups() {
    sed -n "s/.*\"event\":\"$1\",\"group\":\"\([e0-9:]*\)\".*/\1/p" "$2" | sort -u
}

cat >config.json <<'END'
{"model_type": "qwen2", "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3,
 "num_key_value_heads": 1, "intermediate_size": 96, "vocab_size": 300, "rope_theta": 10000.0,
 "max_position_embeddings": 512, "rms_norm_eps": 1e-6, "tie_word_embeddings": true}
END
expect 0 "$plait" data generate kk --people 2 --wording plain --names 4 --train 60 --test 6 \
    --seed 3 --split puzzle --output tasks
expect 0 "$plait" tokenizer train --size 300 --token '<think>' --token '</think>' \
    --token '<answer>' --token '</answer>' --token '<|interleave|>' --field question \
    --output tokenizer tasks/train.jsonl
expect 0 "$plait" model init config.json base --tokenizer tokenizer
printf '<|interleave|>\n' >instruction.txt
cat >run.yaml <<END
run: {name: t, dir: none, seed: 5}
model.path: base
data: {train_files: [tasks/train.jsonl], val_files: [tasks/test.jsonl],
       instruction: instruction.txt, max_prompt_length: 128, max_response_length: 256,
       train_batch_size: 8}
rollout: {n: 4, staleness: 1}
actor.ppo_max_token_len: 1024
trainer: {total_training_steps: 40, save_freq: 2, test_freq: 5}
workers: {actors: 2, actor_slots: 8}
link: {lease_s: 1}
END
[ $failures -eq 0 ] || finish # nothing to run

# ---- a run whose logs are JSON, and an actor that is killed while it has a group ----

# It is stopped when enough of it has been seen, so that nothing here depends on how fast it is.
begin log.format=json trainer.total_training_steps=100000
lost=
while running && [ -z "$lost" ]; do
    victim=$(pgrep -P "$run" -f -- '--name=actor-1$')
    if [ -z "$victim" ] || ! grep -qs '"leased"' run/logs/actor-1.log; then
        sleep 0.05
        continue
    fi
    # Held still while Redis is asked what it has leased: only then is it sure that it does not finish it.
    kill -STOP "$victim" 2>/dev/null || continue
    groups leased run/logs/actor-1.log >leased
    groups finished run/logs/actor-1.log >finished
    for group in $(comm -23 leased finished | grep -v e); do
        "$plait" trace run "$group" --json >out 2>err || continue
        if [ "$("$json" now.owner <out)" = actor-1 ]; then
            lost=$group
            break
        fi
    done
    if [ -z "$lost" ]; then
        kill -CONT "$victim" 2>/dev/null
        sleep 0.02
        continue
    fi
    kill -9 "$victim" 2>/dev/null
done
ok 'an actor was killed while it had a group' test -n "$lost"
[ -n "$lost" ] || finish

# While it runs: where the group is, out of Redis.
expect 0 "$plait" trace run "$lost" --json
state=$("$json" now.state <out)
said="plait trace run $lost, while the run is at work"
ok "Redis says where it is: '$state'" test -n "$state" -a "$state" != null

# top_says REGEX: waits until a line of plait top does
top_says() {
    while running && ! LC_ALL=C "$plait" top run --once 2>/dev/null | grep -q -- "$1"; do
        sleep 0.1
    done
}

# The killed actor is started again and has said so, and five steps have been trained.
top_says '^t  running  step [0-9]*[5-9] of'
while running && ! { "$plait" top run --once --json >out 2>/dev/null && "$json" redis.workers <out |
    grep -q '"worker":"actor-1","role":"actor".*"restarts":[1-9]'; }; do
    sleep 0.1
done

# And what plait top has of the run, then and there.
expect 0 "$plait" top run --once --json
silent err
at run t
at steps 100000
at state running
at insecure false
at redis.learner_connected true
"$json" redis.workers <out >workers
matches workers '"host":"[^"]*".*"pid":[1-9].*"rss_bytes":[1-9]'
matches workers '"worker":"actor-1","role":"actor".*"restarts":[1-9]'
ok 'as many rewards as there are steps, 64 at most' test "$("$json" recent_steps.reward <out | tr ',' '\n' |
    wc -l)" -ge 1
lagging='^actor-2  *actor  *[^ ]*  *[a-z ]*  *[0-9] '
top_says "$lagging" # its first heartbeats come before its first weights
expect 0 env LC_ALL=C "$plait" top run --once
matches out '^t  running  step [0-9]* of 100000  ETA '
matches out '^learner  *learner  *[^ ][^ ]*  *\(waiting\|training\|publishing\|saving\|evaluating\) '
matches out "$lagging"
ok 'no control characters, 80 columns' test -z "$(LC_ALL=C grep -n -e '[^ -~]' -e '.\{81\}' out)"
while running && ! grep -q "\"event\":\"retired\",\"batch\":\"${lost%:*}\"" run/logs/learner.log; do
    sleep 0.1
done
kill -TERM "$run"
over 143

expect 0 "$plait" trace run "$lost"
silent err
has out "group $lost of run t"
matches out 'fed .*version=.*task=kk-'
matches out 'actor-1 .*leased .*deliveries=1'
matches out 'It was leased to actors [2-9] times\.'
# Whichever comes first: that it is started again, or that another takes what it had.
again='it was started again [0-9.]* s after it had leased it'
taken='nothing more is heard of it; [-a-z0-9 ]* leased it [0-9.]* s later'
matches out "actor-1 did not sample it: \\($again\\|$taken\\)"
matches out '^was sampled .* by actor-[12]$'
matches out '^waited for a checkpoint '
has out 'now: its batch is trained and in a checkpoint'
matches out 'result, in .*/rollouts/[0-9]*\.jsonl:'
has out 'reward'
expect 0 "$plait" trace run "$lost" --json
at group "$lost"
at run t
at events.0.event fed
at events.0.role learner
ok 'it has four samples' test "$("$json" samples <out | grep -o '"sample":' | wc -l)" -eq 4
grep -o '"event": "[a-z]*"' out >events
ok 'trained and retired' grep -q retired events
cat run/logs/*.log >in
expect 0 "$plait" trace run "$lost" --json --logs -
grep -o '"event": "[a-z]*"' out | cmp -s - events || wrong 'standard input tells another story'
expect 0 "$plait" trace run "$lost" --logs run/logs/actor-1.log --logs run/logs/learner.log
lacks out rewarder-1
mkdir others
cp run/logs/rewarder-1.log others/other.log
expect 0 "$plait" trace run "$lost" --logs others
has out rewarder-1.1
lacks out 'fed '

# The log's own form: an object a line, with who and what.
for log in learner actor-1 rewarder-1; do
    grep -v '^{"ts":"[-0-9T:.]*Z","level":"[a-z]*","role":"[a-z]*","id":"'$log'","run":"t","event":"' \
        run/logs/$log.log >odd
    ok "$log: each line is of that form" test ! -s odd
    ok "$log: each line is an object" sh -c "'$json' event <run/logs/$log.log >names &&
        [ \$(wc -l <names) -eq \$(wc -l <run/logs/$log.log) ]"
done

# ---- the same run goes on with logs of text, behind those of JSON ----

steps=$("$plait" status run --json 2>/dev/null | "$json" step)
begin trainer.total_training_steps=$((steps + 4))
over 0
expect 0 "$plait" trace run $((steps + 2)):1
silent err
for event in fed leased finished scored ready trained retired; do
    matches out "^[0-9:.]*Z .*[a-z0-9.]  *$event "
done
matches out '^was scored .* by rewarder-1\.1$'
matches run/logs/actor-1.log \
    '^[-0-9T:.]*Z info finished group='$((steps + 2))':[0-9] version=[0-9]* samples=4 tokens=[0-9]* outcome=done id='
expect 0 "$plait" trace run "$lost"
has out 'actor-1 did not sample it'

# ---- what is not known ----

expect 1 "$plait" trace run 999:1
has err 'group 999:1 is not known'
one_sentence
silent out
expect 1 "$plait" trace run nonsense
has err "'nonsense' is no group"
one_sentence
expect 1 "$plait" trace run 1:1 --logs nowhere.log
has err nowhere.log
one_sentence
expect 2 "$plait" trace run
expect 1 "$plait" top run
has err 'this is no terminal that can be drawn on'
one_sentence
expect 2 "$plait" top run --json
has err '--json goes with --once'
expect 0 "$plait" top run.yaml --once run.dir=elsewhere link.redis=redis://127.0.0.1:1
has out 'Redis does not answer, and is asked again'
expect 1 "$plait" trace run.yaml 1:1 run.dir=elsewhere link.redis=redis://127.0.0.1:1
has err 'Connection refused'
finish
