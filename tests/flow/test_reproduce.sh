#!/bin/sh
# `plait reproduce` at a scale of seconds: what is wrong is said in one sentence; it is stopped in the
# middle and goes on; and with it every recipe of deploy/recipes/small runs from end to end.
# Usage: test_reproduce.sh PLAIT SOURCE
set -u
plait=$(readlink -f "$1")
recipes=$2/deploy/recipes/small
. "$(dirname "$(readlink -f "$0")")/check.sh"
trap 'end_all; rm -rf "$dir"' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
export OMP_WAIT_POLICY=passive

if ! command -v redis-server >/dev/null; then
    echo "skipped: redis-server is not installed (deploy/install-deps.sh installs it)"
    exit 77
fi

# What runs out of this folder, by its command line: its name is nobody else's.
end_all() {
    for pid in $(pgrep -f "$dir/made"); do
        kill -9 "$pid" 2>/dev/null
    done
}

plain() {
    ! grep -q "$(printf '[\r\033]')" "$1"
}

nobody() {
    ! pgrep -f "$dir/made"
}

reproduce() {
    want=$1
    shift
    expect "$want" "$plait" reproduce "$@"
}

# refused STATUS SENTENCE WORD...
refused() {
    want=$1 sentence=$2
    shift 2
    reproduce "$want" "$@"
    has err "plait reproduce: $sentence"
    one_sentence
    silent out
}

cat >micro.yaml <<'EOF2'
names: 6
kk: {people: [2], train: 60, test: 6, people_unseen: [3], unseen: 4}
hops: {hops: [2], train: 60, test: 4, distractors: 1}
arith: {ops: [2], train: 40, test: 4}
tokenizer.size: 320
model: {width: 32, layers: 1, heads: 2, kv_heads: 1, ffn: 64, positions: 320}
school: {kk: 60, hops: 60, arith: 40, steps: 20, rows: 4}
warm_start: {steps: 10, rows: 4}
sft: {steps: 5, rows: 4}
train: {steps: 2, settings: [data.train_batch_size=2, actor.ppo_mini_batch_size=1,
        data.max_response_length=48, rollout.n=2, workers.actor_slots=8]}
eval.max_tokens: 48
EOF2
made=$dir/made

# ---- what is wrong ----

refused 2 "--scale: there is no 'nope'; plait has tiny, small and rare" --scale nope
refused 2 "--scale: there is no './nope.yaml'" --scale ./nope.yaml
refused 2 "--only: there is no row 'interleave-ri'; did you mean 'interleave-ir'?" \
    --only interleave-ri
refused 2 "--only: there is no row 'x'; --help names all" --only direct,x
refused 2 "--seeds needs numbers, not '1x'" --seeds 0,1x
refused 2 "--seeds needs numbers, not '-1'" --seeds=-1
refused 2 '--seeds names 3 twice' --seeds 3,4,3
refused 2 '--seeds needs 1 to 16 numbers' --seeds 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17
sed 's/hops: {hops/hops: {hopps/' micro.yaml >wrong.yaml
refused 2 "wrong.yaml:3: unknown setting 'hops.hopps'; did you mean 'hops.hops'?" \
    --scale wrong.yaml
reproduce 2 --seed 1
has err "unknown option '--seed'; did you mean '--seeds'?"
ok 'nothing was made' test "$(find . -type d | wc -l)" -eq 1

# ---- help, and the list ----

reproduce 0 --help
ok 'lines of at most 80 columns' sh -c '! grep -q ".\{81\}" out'
tr ',' '\n' <out | tr '.' '\n' | sed -n '/Rows:/,/Examples/p' | tr -d ' ' >rows
for recipe in "$recipes"/*.yaml; do
    name=$(basename "$recipe" .yaml)
    [ "$name" = base ] || ok "--help names $name" grep -qx "\(Rows:\)\?$name" rows
done
reproduce 0 --scale micro.yaml --out "$made" --seeds 7,8 --only sft,interleave-ir --list
ok 'chores of two rows' test "$(wc -l <out)" -eq 18
has out '      training interleave-ir, seed 8'
lacks out 'done'
ok 'a list makes nothing' test ! -e "$made"

# ---- stopped in the middle ----

"$plait" reproduce --scale micro.yaml --out "$made" --seeds 7 >out 2>err &
run=$!
said='plait reproduce, to be stopped'
for _ in $(seq 1200); do
    [ ! -e "$made/runs/think-answer-7/metrics.jsonl" ] || break
    sleep 0.05
done
"$plait" reproduce --scale micro.yaml --out "$made" --seeds 7 >out2 2>err2
status=$?
ok 'a second one is refused' test $status -eq 1
has err2 "'$made' is in use: another process is at work there"
kill -TERM $run
wait $run
status=$?
checks=$((checks + 1))
[ $status -eq 143 ] || wrong "exit status $status, not 143"
has err '[1/46] problems: kk  '
has err '; the same command goes on'
ok 'plain lines' plain err
ok 'none is wide but the last' sh -c "! grep -v '^plait reproduce: ' err | grep -q '.\{81\}'"
ok 'no process is left' nobody
ok 'it was stopped before the end' test ! -e "$made/evals/interleave-7.json"
ok 'what there is so far is in the results' test -s "$made/results.json"

# ---- and goes on ----

before=$(find "$made/done" -type f | wc -l)
touch mark
sleep 0.1
reproduce 0 --scale micro.yaml --out "$made" --seeds 7
has err "$before of 46 were done before"
has err '[46/46] measuring interleave-ir-charge, seed 7  '
ok 'one line a chore, and one of those before' sh -c \
    "test \$(grep -c '^\[' err) -eq $((46 - before)) && ! grep -v -e '^\[' -e '^all ' -e before err"
is out "$made/results.html, results.md with plots/, results.json"
find "$made/data" "$made/tokenizer" "$made/base" "$made/warm-start" "$made/runs/sft-7" \
    -newer mark >newer
silent newer
reproduce 0 --scale micro.yaml --out "$made" --seeds 7
is err '46 of 46 were done before'

# ---- every recipe ran ----

# Each step once, although one of them was stopped.
steps() {
    test "$(grep -c '"actor/pg_loss": -\?[0-9]' "$1/metrics.jsonl")" -eq 2 &&
        test "$(wc -l <"$1/metrics.jsonl")" -eq 2
}

# setting ROW NAME VALUE: of the resolved configuration
setting() {
    ok "$1: $2 is $3" grep -qxF "$2: $3" "$made/runs/$1-7/config.yaml"
}

# What a recipe is about, in what it ran with.
while read -r row method pay strategy estimator charge; do
    setting "$row" data.method "$method"
    setting "$row" reward.intermediate "$pay"
    setting "$row" reward.strategy "$strategy"
    setting "$row" algorithm.adv_estimator "$estimator"
    setting "$row" reward.wrong_step "$charge"
done <<'EOF2'
think-answer think-answer none time grpo 0
interleave interleave none time grpo 0
interleave-ir interleave conditional time grpo 0
interleave-ir-direct interleave direct partial grpo 0
interleave-ir-partial interleave conditional partial grpo 0
interleave-ir-all interleave conditional all grpo 0
delayed delayed none time grpo 0
delayed-ir delayed conditional time grpo 0
interleave-ir-ppo interleave conditional time gae 0
interleave-ir-reinforce-plus-plus interleave conditional time reinforce_plus_plus 0
interleave-ir-gdpo interleave conditional time gdpo 0
interleave-ir-segment interleave conditional time grpo 0
interleave-ir-product interleave conditional time grpo 0
interleave-ir-charge interleave conditional time grpo 0.25
EOF2
for recipe in "$recipes"/*.yaml; do
    row=$(basename "$recipe" .yaml)
    [ "$row" != base ] || continue
    run=$made/runs/$row-7
    said="recipe $row"
    ok 'two steps' steps "$run"
    form=$(sed -n 's/^data.method: //p' "$run/config.yaml")
    ok "it asks for $form" grep -q "\"prompt\": *\"<|$form|>" "$run/rollouts/1.jsonl"
    ok 'a critic, or none' test "$(grep -c '"critic/vf_loss"' "$run/metrics.jsonl")" -eq \
        "$(if [ "$row" = interleave-ir-ppo ]; then echo 2; else echo 0; fi)"
    ok 'it is measured on all tasks' test "$(wc -l <"$made/evals/$row-7.jsonl")" -eq 18
done

# ---- another scale in the same folder ----

sed 's/steps: 20/steps: 21/' micro.yaml >other.yaml
refused 2 "'$made' was made with another scale (see its scale.yaml)" --scale other.yaml \
    --out "$made" --seeds 7

finish
