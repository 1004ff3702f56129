#!/bin/sh
# `plait sft` from outside: it learns, is stopped, killed and resumed to the same bytes, and refuses
# what it cannot do with one sentence. Usage: test_sft.sh PLAIT JSON
set -u
plait=$(readlink -f "$1")
json=$(readlink -f "$2")
. "$(dirname "$(readlink -f "$0")")/check.sh"
export OMP_WAIT_POLICY=passive

sft() {
    want=$1
    shift
    expect "$want" "$plait" sft "$@"
}

# value KEY: of the JSON object in ./out
value() {
    "$json" "$1" <out
}

# below KEY LIMIT: the number in ./out is
below() {
    checks=$((checks + 1))
    value "$1" | awk -v limit="$2" '{ exit !($1 != "null" && $1 < limit) }' || wrong "$1 is $(value "$1"), not below $2"
}

# count FILE: its lines, 0 where there is none
count() {
    cat "$1" 2>/dev/null | wc -l
}

# lines_of DIR: the metrics, without what depends on the clock
lines_of() {
    sed 's/, "perf\/throughput".*//' "$1/metrics.jsonl"
}

# same DIR DIR: model, last checkpoint and metrics of two runs are
same() {
    ok "$1 and $2 have different models" diff -r "$1/model" "$2/model"
    ok "$1 and $2 have different checkpoints" diff -r "$1/checkpoints" "$2/checkpoints"
    lines_of "$1" >one
    lines_of "$2" >two
    ok "$1 and $2 have different metrics" cmp one two
}

# Sums of two digits, a model that has not learnt any, and how it is to be trained.
awk 'BEGIN {
    for (a = 0; a < 5; a++)
        for (b = 0; b < 5; b++)
            printf "{\"prompt\": \"%d + %d =\", \"response\": \" %d\"}\n", a, b, a + b
}' >sums.jsonl
printf '{{user}}' >plain.txt
printf '{"model_type": "qwen2", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
"num_key_value_heads": 2, "intermediate_size": 128, "max_position_embeddings": 64}' >config.json
expect 0 "$plait" tokenizer train --size 261 --field prompt --field response --output tok sums.jsonl
expect 0 "$plait" model init config.json base --tokenizer tok
train='base sums.jsonl --template plain.txt --batch-size 13 --lr 3e-3'

# It learns them by heart, and says so to people and to scripts.
# shellcheck disable=SC2086
OMP_NUM_THREADS=1 sft 0 $train --output whole --epochs 120 --eval-file sums.jsonl --eval-every 50 \
    --save-every 50 --keep 1 --json
below val/loss 0.05
below train/loss 0.05
value training/global_step >got
is got 240
value train/skipped_steps >got
is got 0
value model >got
is got whole/model
has err 'memory'
has err 'master weights (f32)'
has err 'step 50: val/loss'
ok 'metrics have a line for each step' test "$(count whole/metrics.jsonl)" -eq 240
for name in training/global_step training/epoch train/loss train/grad_norm train/lr perf/throughput \
    perf/total_num_tokens; do
    has whole/metrics.jsonl "\"$name\": "
done
ok 'metrics have val/loss when it is evaluated' test "$(grep -c '"val/loss"' whole/metrics.jsonl)" -eq 5
is whole/checkpoints/latest global_step_240
ok 'one checkpoint is kept' test "$(find whole/checkpoints -mindepth 1 -maxdepth 1 -type d | wc -l)" -eq 1
ok 'the template goes with the model' cmp plain.txt whole/model/prompt_template.txt
ok 'the model is the last checkpoint' cmp whole/model/model.safetensors \
    whole/checkpoints/global_step_240/model.safetensors
expect 0 "$plait" model info whole/model
expect 0 "$plait" chat whole/model --prompt '3 + 4 =' --quiet --temperature 0
is out ' 7'

# Rows may be in several files.
head -n 10 sums.jsonl >first.jsonl
tail -n +11 sums.jsonl >second.jsonl
for files in sums.jsonl 'first.jsonl second.jsonl'; do
    # shellcheck disable=SC2086
    sft 0 base $files --template plain.txt --batch-size 13 --output "parts-${files#* }" --steps 3 --quiet
done
ok 'two files are as good as one' cmp parts-sums.jsonl/model/model.safetensors \
    parts-second.jsonl/model/model.safetensors

# A run that is finished stays as it is.
cp -r whole kept
# shellcheck disable=SC2086
sft 0 $train --output whole --epochs 120 --eval-file sums.jsonl --eval-every 50 --save-every 50 \
    --keep 1 --resume --quiet
silent err
has out '240 steps'
same whole kept

# Killed again and again, with one thread and with two, it ends with the same bytes.
threads=1
for after in 0.1 0.3 0.5 0.7; do
    # shellcheck disable=SC2086
    OMP_NUM_THREADS=$threads "$plait" sft $train --output killed --epochs 120 --eval-file sums.jsonl \
        --eval-every 50 --save-every 50 --keep 1 --resume --recompute --quiet >/dev/null 2>&1 &
    sleep $after
    kill -KILL $! 2>/dev/null
    wait $! 2>/dev/null
    threads=$((3 - threads))
done
# shellcheck disable=SC2086
OMP_NUM_THREADS=2 sft 0 $train --output killed --epochs 120 --eval-file sums.jsonl --eval-every 50 \
    --save-every 50 --keep 1 --resume --quiet
same whole killed

# Asked to stop, it finishes its step, saves, says how to go on, and its status is the signal's.
steps=0
for signal in TERM:143 INT:130; do
    name=${signal%:*}
    # shellcheck disable=SC2086
    env --default-signal "$plait" sft $train --output stopped --steps 1000000 --resume --quiet \
        >out 2>err &
    said="plait sft, $name"
    for _ in $(seq 600); do # until it has taken some steps more
        [ "$(count stopped/metrics.jsonl)" -le $((steps + 3)) ] || break
        sleep 0.1
    done
    kill -$name $!
    wait $!
    status=$?
    checks=$((checks + 1))
    [ $status -eq "${signal#*:}" ] || wrong "exit status $status"
    has err "stopped by SIG$name after step "
    has err ' of 1000000, which is saved; the same command with --resume goes on'
    one_sentence
    ok 'what is saved is the last step' \
        test "global_step_$(count stopped/metrics.jsonl)" = "$(cat stopped/checkpoints/latest)"
    ok 'it went on from where it was' test "$(count stopped/metrics.jsonl)" -gt $steps
    steps=$(count stopped/metrics.jsonl)
done
ok 'there is no model yet' test ! -e stopped/model

# A run goes on only as it began, and only where it is asked to.
# shellcheck disable=SC2086
sft 1 $train --output whole
has err "'whole' is there already: go on with the run in it by --resume, or give --output another"
one_sentence
# shellcheck disable=SC2086
sft 1 $train --output whole --epochs 121 --eval-file sums.jsonl --eval-every 50 --resume --quiet
has err 'epochs was 120 and is 121 now'
one_sentence
head -n 24 sums.jsonl >fewer.jsonl
sft 1 base fewer.jsonl --template plain.txt --batch-size 13 --lr 3e-3 --output whole --epochs 120 \
    --eval-file sums.jsonl --eval-every 50 --resume --quiet
has err 'the data was "25 rows, '
one_sentence
mkdir other
: >other/file
# shellcheck disable=SC2086
sft 1 $train --output other --resume --quiet
has err "'other' is not the folder of a run"
one_sentence
# Where another process is at work it writes nothing, before and after there is a run.
mkdir taken
for folder in taken whole; do
    mkfifo "hold-$folder"
    flock --exclusive "$folder/plait.lock" sh -c "echo held; cat 'hold-$folder'" >"held-$folder" &
    holder=$!
    until grep -qs held "held-$folder"; do
        sleep 0.05
    done
    # shellcheck disable=SC2086
    sft 1 $train --output "$folder" --epochs 120 --eval-file sums.jsonl --eval-every 50 --resume \
        --quiet
    has err "another process is at work in '$folder'"
    one_sentence
    : >"hold-$folder"
    wait $holder
done
ok 'nothing is made there' test "$(ls taken)" = plait.lock
same whole kept

# What is wrong with data, options, models and folders is said in one sentence, and nothing is made.
for row in '{"prompt": "1 + 1 ="}' '{"prompt": "1 + 1 =", "response": 2}' 'not json' \
    '{"messages": [{"role": "user", "content": "1"}]}'; do
    { head -n 2 sums.jsonl && echo "$row"; } >bad.jsonl
    sft 1 base bad.jsonl --output bad --quiet
    has err 'plait sft: bad.jsonl:3: '
    one_sentence
done
: >empty.jsonl
sft 1 base empty.jsonl --output bad --quiet
has err "'empty.jsonl' holds no rows"
sft 1 base nowhere.jsonl --output bad --quiet
has err nowhere.jsonl
sft 1 nowhere sums.jsonl --output bad --quiet
has err nowhere
one_sentence
sft 1 base sums.jsonl --max-length 1000 --output bad --quiet
has err '--max-length 1000 is over the 64 positions that the model has'
sft 1 base sums.jsonl --template plain.txt --memory-limit 1M --output bad --quiet
has err 'over the limit of 1.0 MiB'
one_sentence
sft 2 base sums.jsonl
has err "option '--output' is missing"
one_sentence
ok 'nothing was made' test ! -e bad
: >file
sft 1 base sums.jsonl --template plain.txt --output file/run --quiet
has err file/run
one_sentence

# Rows that are too long are counted out loud.
printf '{"prompt": "1 + 2 =", "response": " 3 3 3 3 3 3 3 3 3 3"}\n' >>fewer.jsonl
sft 0 base fewer.jsonl --template plain.txt --max-length 20 --output long
has err '1 of 25 rows are dropped: they have more than 20 tokens'
sft 0 base fewer.jsonl --template plain.txt --max-length 20 --too-long truncate --output cut
has err '1 of 25 rows are cut to 20 tokens'

# --dry-run shows options and plan, and makes nothing.
# shellcheck disable=SC2086
sft 0 $train --output dry --dry-run --lr 0.25
has out 'lr = 0.25'
has out 'master weights (f32)'
has out 'total'
silent err
# shellcheck disable=SC2086
sft 0 $train --dry-run --json
value rows >got
is got 25
value steps >got
is got 2
ok 'nothing was made' test ! -e dry

# A gradient that is not finite is skipped, said and counted; after five it gives up.
# shellcheck disable=SC2086
sft 1 $train --lr 1e30 --lr-schedule constant --warmup-ratio 0 --epochs 50 --output hot
has err 'step 2: the gradient is not finite'
has err 'had to be skipped one after another'
has err 'no checkpoint had been written yet'
has hot/metrics.jsonl '"train/skipped_steps": 1'

# A run set back by hand, then a disk that is full: the sentence says so, the checkpoint before is
# whole, and with more room the run goes on from it.
# shellcheck disable=SC2086
OMP_NUM_THREADS=1 sft 0 $train --output full --epochs 120 --eval-file sums.jsonl --eval-every 50 \
    --save-every 50 --keep 0 --quiet
ok 'all checkpoints are kept' test "$(find full/checkpoints -mindepth 1 -type d | wc -l)" -eq 5
echo global_step_50 >full/checkpoints/latest
rm -r full/model
cat >limited <<EOF
trap '' XFSZ
ulimit -f 1000
exec "$plait" sft $train --output full --epochs 120 --eval-file sums.jsonl --eval-every 50 \
    --save-every 50 --keep 1 --resume --quiet
EOF
expect 1 sh limited
has err 'File too large'
has err "the checkpoint 'full/checkpoints/global_step_50' is whole, and the same command with --resume"
one_sentence
is full/checkpoints/latest global_step_50
# shellcheck disable=SC2086
sft 0 $train --output full --epochs 120 --eval-file sums.jsonl --eval-every 50 --save-every 50 \
    --keep 1 --resume --quiet
same whole full

finish
