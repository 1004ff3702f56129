#!/bin/sh
# The learner where things go wrong around it: what it waits for and says, what it saves and when.
# With the lease and the retries that users have.
# Usage: test_learner.sh PLAIT LEARNER ACTOR REWARDER PARROT BOARD
set -u
plait=$(readlink -f "$1")
learner=$(readlink -f "$2")
actor=$(readlink -f "$3")
rewarder=$(readlink -f "$4")
parrot=$(readlink -f "$5")
board=$(readlink -f "$6")
. "$(dirname "$(readlink -f "$0")")/check.sh"
trap 'end_all; rm -rf "$dir"' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
export OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1
limit_s=${PLAIT_TEST_LIMIT_S:-120} # of one wait

if ! command -v redis-server >/dev/null || ! command -v redis-cli >/dev/null; then
    echo "skipped: redis-server is not installed (deploy/install-deps.sh installs it)"
    exit 77
fi

end_all() {
    for pid in $(pgrep -f "$dir/"); do
        kill -9 "$pid" 2>/dev/null
    done
}

# within WHAT COMMAND...: the command succeeds in time
within() {
    what=$1 said="$name: $1"
    shift
    checks=$((checks + 1))
    deadline=$(($(date +%s) + limit_s))
    until "$@" >/dev/null 2>&1; do
        [ "$(date +%s)" -lt $deadline ] || {
            wrong "$what"
            tail -n 8 "$name"/*.log
            say HGET "$run:run" why
            return 1
        }
        sleep 0.05
    done
}

# ---- a model of random weights ----

cat >config.json <<'JSON'
{"model_type": "qwen2", "hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2,
 "num_key_value_heads": 1, "intermediate_size": 32, "vocab_size": 330, "rope_theta": 10000.0,
 "max_position_embeddings": 512, "rms_norm_eps": 1e-6, "tie_word_embeddings": true}
JSON
expect 0 "$plait" data generate kk --people 2 --wording plain --names 4 --train 40 --test 4 \
    --seed 3 --split puzzle --output tasks
expect 0 "$plait" data generate kk --people 2 --wording plain --names 4 --count 40 --seed 4 \
    --answers interleave --output sft.jsonl
expect 0 "$plait" tokenizer train --size 320 --token '<think>' --token '</think>' \
    --token '<answer>' --token '</answer>' --token '<|interleave|>' --field prompt \
    --field response --output tokenizer sft.jsonl
expect 0 "$plait" model init config.json base --tokenizer tokenizer
printf '<|interleave|>\n' >instruction.txt
cat >run.yaml <<'YAML'
run: {name: t, dir: none, seed: 5}
model.path: base
data: {train_files: [tasks/train.jsonl], val_files: [tasks/test.jsonl],
       instruction: instruction.txt, max_prompt_length: 128, max_response_length: 16,
       train_batch_size: 4}
rollout: {n: 4, staleness: 1}
reward.overlong_buffer: {len: 15, penalty_factor: 4}
actor: {optim.lr: 1e-3, ppo_max_token_len: 512}
workers: {actor_slots: 16}
YAML
[ $failures -eq 0 ] || finish # nothing to run

run='plait:{t}'
say() {
    redis-cli -s "$dir/$name/redis.sock" "$@" 2>/dev/null
}

# start NAME SETTING...: a Redis and the folder of a run
start() {
    name=$1
    shift
    settings=$*
    mkdir "$name"
    redis-server --port 0 --save '' --dir "$dir/$name" --unixsocket "$dir/$name/redis.sock" \
        --daemonize no >"$name/redis.log" 2>&1 &
    redis=$!
    within 'Redis answers' say PING
}

# role ROLE [NAME]: a program of the run; its number is in $pid
role() {
    case $1 in
    learner) program=$learner ;;
    actor) program=$actor ;;
    rewarder) program=$rewarder ;;
    esac
    # shellcheck disable=SC2086 # words
    "$program" run.yaml run.dir="$dir/$name/run" link.redis="unix://$dir/$name/redis.sock" \
        $settings --name="${2:-$1}" >>"$name/${2:-$1}.log" 2>&1 &
    pid=$!
}

# all: every role, their numbers in $learner_pid, ...
all() {
    role learner
    learner_pid=$pid
    role actor actor-1
    actor_pid=$pid
    role rewarder rewarder-1
    rewarder_pid=$pid
}

# over STATUS: the learner ends so; the others go too
over() {
    within 'the learner ends' sh -c "! kill -0 $learner_pid" || kill -9 $learner_pid
    wait $learner_pid
    status=$?
    checks=$((checks + 1))
    [ $status -eq "$1" ] || {
        wrong "$name: exit status $status, not $1"
        tail -n 5 "$name/learner.log"
    }
    stop
}

stop() {
    # shellcheck disable=SC2086 # words
    kill -9 ${actor_pid-} ${rewarder_pid-} $redis 2>/dev/null
    wait ${actor_pid-} ${rewarder_pid-} $redis 2>/dev/null
    actor_pid='' rewarder_pid=''
}

# lines FILE PATTERN: how many lines of FILE match
lines() {
    grep -c -- "$2" "$1"
}

why() {
    say HGET "$run:run" why | grep -qF -- "$1"
}

step_is() {
    [ "$(say HGET "$run:run" step)" -ge "$1" ]
}

same() {
    ok "$1 and $2 end with the same weights" cmp "$1/run/model/model.safetensors" \
        "$2/run/model/model.safetensors"
}

# ---- evaluations as often as one likes (D1): steps between evaluations, between checkpoints ----

for ratio in '1 100' '1 20' '3 7'; do
    every=${ratio% *} save=${ratio#* }
    start "evals-$every-$save" trainer.total_training_steps=24 trainer.test_freq="$every" \
        trainer.save_freq="$save"
    all
    over 0
    want=$((24 / every + 1))
    ok "$name: $want evaluations are reported" test \
        "$(lines "$name/run/metrics.jsonl" '"val-core/acc"')" -eq $want
    ok "$name: the result is of the last step" grep -q '"step": 24' "$name/run/model/plait_result.json"
done
ok 'it learned something' sh -c '! cmp evals-1-100/run/model/model.safetensors base/model.safetensors'
same evals-1-100 evals-1-20
same evals-1-100 evals-3-7

# ---- what it waits for, in true words; a late evaluation that Redis loses (D2); another learner ----

start late trainer.total_training_steps=24 trainer.save_freq=100
role learner
learner_pid=$pid
within 'it says that nobody samples' why 'that nobody holds'
ok 'and that no actor is there' why 'no actor has a heartbeat'
ok 'the learner is named' sh -c "redis-cli -s $dir/$name/redis.sock GET '$run:learner' | grep -q '^learner .* $learner_pid '"
within 'its phase is told' sh -c "redis-cli -s $dir/$name/redis.sock HGET '$run:worker:learner' phase | grep -qx waiting"
before=$(say HGET "$run:worker:learner" beat)
within 'and its heart beats' sh -c "[ \"\$(redis-cli -s $dir/$name/redis.sock HGET '$run:worker:learner' beat)\" -gt $before ]"
# shellcheck disable=SC2086 # words
expect 2 "$learner" run.yaml run.dir="$dir/$name/other" link.redis="unix://$dir/$name/redis.sock" \
    $settings --name=second
has err "run 't' has a learner already: 'learner', process $learner_pid"
say XREADGROUP GROUP actors ghost COUNT 1 STREAMS "$run:prompts" '>' >ghost # a group of e0
has ghost e0:
role actor actor-1
actor_pid=$pid
within 'it says that nobody scores' why 'no rewarder has a heartbeat'
role rewarder rewarder-1
rewarder_pid=$pid
within 'it waits for the evaluation that a ghost holds' why 'held by actors (e0:'
ok 'it is named' why 'by ghost'
ok 'it waited before its versions ran out' step_is 7
say FLUSHALL
over 0
ok 'that evaluation is reported' test "$(grep '"training/global_step": 0,' late/run/metrics.jsonl | grep -c val-core)" -eq 1
has late/learner.log 'fed event=again'
same evals-1-100 late

# ---- an evaluation that lacks a group is none (D12) ----

start lacking trainer.total_training_steps=3 trainer.test_freq=2
role learner
learner_pid=$pid
within 'e0 is fed' sh -c "redis-cli -s $dir/$name/redis.sock HLEN '$run:groups:e0' | grep -qx 4"
say XREADGROUP GROUP actors ghost COUNT 1 STREAMS "$run:prompts" '>' >ghost
entry=$(say HGET "$run:groups:e0" 0)
say FCALL plait1_bury 1 "$run:" prompts e0 0 "${entry#prompt }" 'it was not to be' ghost 1 x >buried
is buried DONE
role actor actor-1
actor_pid=$pid
role rewarder rewarder-1
rewarder_pid=$pid
over 0
has lacking/learner.log 'evaluated event=incomplete step=0 batch=e0 missing_groups=1 of=4'
has lacking/learner.log 'finished event=incomplete'
ok 'it is no figure' sh -c "! grep '\"training/global_step\": 0,' lacking/run/metrics.jsonl | grep -q val-core"
ok 'it is told' grep -q '"val-aux/missing_groups": 1[,}]' lacking/run/metrics.jsonl
ok 'it is not the best' sh -c "! grep -q '\"step\": 0' lacking/run/best/evaluation.json"

# ---- when the first answer comes, and the first right one (D28), in both places ----

# Eight tokens with the end: an answer that is wrong begins at the third, one that is right at the
# sixth.
ok 'there is a model that says so' "$parrot" said 512 \
    '1=<think>a</think>~<answer>~Zoey is a knave~</answer>~<think>b</think> <answer>~Zoey is a knight</answer>~<think>c</think><answer>(1) Zoey is a knight (2) Ben is a knave</answer>'
for i in 1 2 3 4; do
    echo "{\"id\": \"t$i\", \"question\": \"who is what? $i 1\", \"answer\": \"(1) Zoey is a knight (2) Ben is a knave\", \"verifier\": \"kk\", \"source\": \"kk\", \"steps\": [{\"answer\": \"Zoey is a knight\"}, {\"answer\": \"Ben is a knave\"}], \"meta\": {\"people\": 2}}"
done >said.jsonl
start first trainer.total_training_steps=1 model.path=said data.train_files=said.jsonl \
    data.val_files=said.jsonl data.max_prompt_length=256
all
over 0
"$board" first/run >points 2>board.err
for figure in 'ttfa 0.25' 'ttfa_tokens 2' 'ttfa_right 0.625' 'ttfa_right_tokens 5'; do
    has points "1 interleave/$figure"
    # shellcheck disable=SC2086 # words
    set -- $figure
    ok "$figure in metrics.jsonl" grep -Eq "\"training/global_step\": 1,.*\"interleave/$1\": $2[,.}]" first/run/metrics.jsonl
done

# ---- the first signal saves the last finished step (D17) ----

start told trainer.total_training_steps=100000 trainer.save_freq=100000
all
within 'some steps are done' step_is 5
# What Redis loses is in the ledger soon, though no batch is waited for and no checkpoint is due; what
# nobody of the run has written is gone when it ends.
say HINCRBY "$run:ledger" fed 7 >ledger
within 'seven groups that are nowhere are called lost' grep -q \
    'ledger event=reconciled batches=[0-9]* lost=7 ' told/learner.log
entry=$(say XADD "$run:ready" '*' batch 0)
say HSET "$run:scored:x" 0 y >scored
kill -STOP $actor_pid
kill -TERM $learner_pid
within 'the learner has ended' sh -c "! kill -0 $learner_pid"
ok 'no batch is left that the run does not have' test "$(say EXISTS "$run:scored:x")" = 0
ok 'nor an entry of ready' test "$(say XRANGE "$run:ready" "$entry" "$entry")" = ''
# shellcheck disable=SC2046 # words
set -- $(say FCALL plait1_ledger 1 "$run:")
ok "the ledger balances: $*" test "$1" -eq $(($2 + $3 + $4 + $5 + $7 + ${11}))
over 0
last=$(sed -n 's/.*"training\/global_step": \([0-9]*\),.*pg_loss.*/\1/p' told/run/metrics.jsonl | tail -n 1)
ok 'the checkpoint is of the last step' grep -qx "global_step_$last" told/run/checkpoints/latest
ok 'and its rollouts are there' test -s "told/run/rollouts/$last.jsonl"
lacks told/learner.log 'abandoned'

# ---- a checkpoint by time (operations 1): early, and no bit is another ----

old_enough() { # the learner has been there for two seconds, so that its first step finds one due
    [ "$(ps -o etimes= -p $learner_pid)" -ge 2 ]
}
for seconds in 1 0; do
    start "timed-$seconds" trainer.total_training_steps=24 trainer.save_freq=100000 \
        trainer.save_seconds=$seconds trainer.max_rollouts_to_keep=3
    role learner
    learner_pid=$pid
    within 'it waits for actors' why 'no actor has a heartbeat'
    within 'and has for long enough' old_enough
    role actor actor-1
    actor_pid=$pid
    role rewarder rewarder-1
    rewarder_pid=$pid
    over 0
    early=$(lines "$name/learner.log" 'saving event=early step=1 reason="trainer.save_seconds have gone by"')
    ok "$name: $seconds early checkpoint of the first step" test "$early" -eq $seconds
    ok "$name: it is written" test "$(lines "$name/learner.log" 'saved step=1 ')" -eq $seconds
    ok "$name: only the newest of its rollouts are kept" \
        test "$(find "$name/run/rollouts" -name '*.jsonl' | wc -l)" -eq 3
    same evals-1-100 "$name"
done

# ---- a password that is changed under it (operations 2); by time, too ----

start locked trainer.total_training_steps=24 trainer.save_freq=100000 trainer.save_seconds=1
all
within 'some steps are done' step_is 3
say CONFIG SET requirepass secret
say -a secret CLIENT KILL TYPE normal
within 'the learner waits' grep -q 'redis event=wait.*NOAUTH' locked/learner.log
ok 'and lives' kill -0 $learner_pid
say -a secret CONFIG SET requirepass ''
over 0
same evals-1-100 locked
start rejected trainer.total_training_steps=100000 trainer.save_freq=100000
all
within 'some steps are done' step_is 3
say CONFIG SET requirepass secret
say -a secret CLIENT KILL TYPE normal
within 'the learner waits' grep -q 'redis event=wait.*NOAUTH' rejected/learner.log
kill -TERM $learner_pid
over 0
last=$(sed -n 's/.*"training\/global_step": \([0-9]*\),.*pg_loss.*/\1/p' rejected/run/metrics.jsonl | tail -n 1)
ok 'what is done is saved' grep -qx "global_step_$last" rejected/run/checkpoints/latest
ok 'and its rollouts are there' test -s "rejected/run/rollouts/$last.jsonl"

# ---- a Redis that is full (D5): what is trained goes with a checkpoint ----

start roomy trainer.total_training_steps=24 data.train_batch_size=8 rollout.n=16
all
over 0
held=$(grep -c '' roomy/run/metrics.jsonl)
ok 'it has all its steps' test "$held" -ge 24
start full trainer.total_training_steps=24 trainer.save_freq=100000 data.train_batch_size=8 rollout.n=16
all
within 'a step is done' step_is 1
used=$(say INFO memory | sed -n 's/^used_memory:\([0-9]*\).*/\1/p')
say CONFIG SET maxmemory $((used + 400000)) # metrics and what is under way, not all 24 batches
over 0
ok 'it saved early' grep -q 'saving event=early' full/learner.log
same roomy full

# ---- a disk that is full (operations 3), where one may be made ----

mkdir small
if mount -t tmpfs -o size=64m tmpfs small 2>/dev/null; then
    start disk trainer.total_training_steps=24 trainer.save_freq=2 trainer.max_ckpt_to_keep=3
    mkdir "$dir/small/run"
    ln -s "$dir/small/run" "$dir/disk/run"
    dd if=/dev/zero of=small/fill bs=1M count=50 2>/dev/null
    all
    within 'it waits for the disk' grep -q 'waiting event=disk' disk/learner.log
    within 'and says so' why 'the disk of'
    ok 'it lives' kill -0 $learner_pid
    rm small/fill
    over 0
    same evals-1-100 disk
    umount small
else
    echo "skipped: no file system may be mounted here: a full disk was not tried"
fi
finish
