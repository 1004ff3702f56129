#!/bin/sh
# A run knows who it is: what enters its bits must agree, for the learner that goes on, for the Redis that
# knows more or less, for actors and rewarders; each disagreement is one sentence, and nobody is blamed.
# Usage: test_identity.sh PLAIT LEARNER REWARDER ACTOR JSON OTHER_BUILD
set -u
plait=$(readlink -f "$1") learner=$(readlink -f "$2") rewarder=$(readlink -f "$3")
actor=$(readlink -f "$4") json=$(readlink -f "$5")
other_build=$(readlink -f "$6") # an actor of another build
. "$(dirname "$(readlink -f "$0")")/check.sh"
trap 'end_all; rm -rf "$dir"' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
export OMP_WAIT_POLICY=passive
unset OPENBLAS_CORETYPE
limit_s=${PLAIT_TEST_LIMIT_S:-120} # of one run; some take five times as long with sanitizers

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

start=$(date +%s%N)
say() {
    echo "[$((($(date +%s%N) - start) / 1000000)) ms] $*"
}

# up NAME SETTING...: a whole run, to a good end
up() {
    name=$1
    shift
    say "up $name $*"
    expect 0 timeout $limit_s "$plait" up run.yaml run.dir="$dir/run-$name" "$@"
}

# refused NAME SETTING...: the learner alone says why it does not go on
refused() {
    name=$1
    shift
    say "refused $name $*"
    expect 2 timeout $limit_s "$learner" run.yaml run.dir="$dir/run-$name" "$@"
    checks=$((checks + 1))
    grep '^plait-learner: ' err >why || wrong 'there is no sentence'
}

sum() {
    sha256sum "$1" | cut -d ' ' -f 1
}

# like_a NAME: its model is that of the run that nothing happened to
like_a() {
    ok "$1 ends with the weights of the undisturbed run" test \
        "$(sum "run-$1/model/model.safetensors")" = "$weights"
    ok "$1: each step once" test "$(grep -c pg_loss "run-$1/metrics.jsonl")" -eq 8
}

# nobody_blamed NAME: no actor has a strike
nobody_blamed() {
    lacks "run-$1/logs/learner.log" 'event=begin actor='
    ! grep -h 'refused group=' "run-$1"/logs/*.log || wrong "$1: a group was refused"
}

# back_to NAME STEP
back_to() {
    echo "global_step_$2" >"run-$1/checkpoints/latest"
}

# copy FROM TO: a run and its Redis, as they were left
copy() {
    cp -r "run-$1" "run-$2"
}

# ---- a model that knows the form a little ----

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
expect 0 "$plait" sft base sft.jsonl --output sft --steps 60 --batch-size 16 --lr 6e-3 --quiet
printf '<|interleave|>\n' >instruction.txt
printf 'exit 1\n' >check.sh # no task asks it
cat >run.yaml <<END
run: {name: t, dir: none, seed: 5}
model.path: sft/model
data: {train_files: [tasks/train.jsonl], val_files: [tasks/test.jsonl],
       instruction: instruction.txt, max_prompt_length: 128, max_response_length: 96,
       train_batch_size: 4}
rollout: {n: 4, staleness: 1}
reward: {unparsed: -0.5, exec.command: [sh, check.sh]}
actor: {optim.lr: 1e-3, ppo_max_token_len: 1024}
trainer: {total_training_steps: 8, save_freq: 4, test_freq: 4, max_ckpt_to_keep: 9}
workers.actor_slots: 16
END
[ $failures -eq 0 ] || finish # nothing to run

up a
weights=$(sum run-a/model/model.safetensors)
has run-a/logs/learner.log 'life=1 step=0'
ok 'training changes the weights' test "$weights" != "$(sum sft/model/model.safetensors)"
ok 'the folder has an id' grep -qx '[0-9a-f]\{32\}' run-a/run_id
ok 'all that agrees is in the checkpoint' test "$("$json" must_agree \
    <run-a/checkpoints/global_step_8/trainer_state.json | grep -o '":"' | wc -l)" -gt 12

# ---- a Redis that knows more than the learner (D3) ----

copy a back
back_to back 4
up back
has run-back/logs/learner.log 'redis event=rewound step=4 of=8 life=1'
like_a back
nobody_blamed back

copy a anew
rm -rf run-anew/checkpoints
say "anew, not asked to"
expect 2 timeout $limit_s "$plait" up run.yaml run.dir="$dir/run-anew"
has err "this run had saved step 8, and '$dir/run-anew/checkpoints' holds no checkpoint"
up anew trainer.resume=changed
has run-anew/logs/learner.log 'redis event=rewound step=0 of=8 life=1'
like_a anew

copy a backup # of yesterday, over today's folder; not of Redis
back_to backup 4
rm -rf run-backup/checkpoints/global_step_8 run-backup/model
sed -i '/global_step": [5-8],/d' run-backup/metrics.jsonl
up backup
like_a backup

# ---- another run of that name ----

mkdir run-redis
redis-server --port 0 --unixsocket "$dir/run-redis/redis.sock" --save '' --dir "$dir/run-redis" \
    --logfile "$dir/run-redis/log" --daemonize yes >/dev/null
shared="link.redis=unix://$dir/run-redis/redis.sock"
wait_for run-redis/log 'ready to accept connections'
note() {
    redis-cli -s run-redis/redis.sock HGET 'plait:{t}:run' "$1"
}
up one "$shared" trainer.total_training_steps=4
refused two "$shared"
has why "of folder '$dir/run-one'"
has why "one of '$dir/run-two'"
has why "run.takeover=$(cat run-one/run_id)"
refused two "$shared" run.takeover=0123456789abcdef0123456789abcdef
up two "$shared" run.takeover="$(cat run-one/run_id)"
like_a two
ok 'Redis is of the second now' test "$(note run_id)" = "$(cat run-two/run_id)"
refused one "$shared"
has why "of folder '$dir/run-two'"

# ---- something that enters the bits is another: each row is named, with both values ----

refused a reward.format=3 rollout.temperature=0.5 trainer.save_freq=7 workers.actor_slots=8
has why 'reward.format was "1" and is "3" now'
has why 'rollout.temperature was "1" and is "0.5" now'
has why 'trainer.resume=changed'
lacks why save_freq
lacks why actor_slots
has run-a/config.yaml 'reward.format: 1'

copy a changed
back_to changed 4
up changed reward.format=3 trainer.resume=changed
has run-changed/logs/learner.log 'resume event=changed'
has run-changed/logs/learner.log 'redis event=rewound step=4 of=8 life=2'
ok 'the weights are others' test "$(sum run-changed/model/model.safetensors)" != "$weights"
nobody_blamed changed
up changed reward.format=3 trainer.total_training_steps=9
refused changed
has why 'reward.format was "3" and is "1" now'

# What enters no bits may be another: evaluations, what a newer plait has, more steps at a constant rate.
copy a harmless
head -n 4 tasks/test.jsonl >fewer.jsonl
back_to harmless 4
up harmless trainer.test_freq=2 data.val_files=fewer.jsonl rollout.val_kwargs.n=2
like_a harmless
nobody_blamed harmless

# A checkpoint of an earlier plait, which kept a hash.
copy a old
for step in 4 8; do
    sed -i '/"must_agree"/,/}/c "must_agree": {"config_sha256": "ab"}' \
        run-old/checkpoints/global_step_$step/trainer_state.json
    rm -f run-old/checkpoints/global_step_$step/checksums*
done
refused old
has why 'of an earlier plait, which kept a hash of the settings instead of the settings'

# A rate that falls reaches its end with the last step (D16).
up cosine actor.optim.lr_scheduler_type=cosine trainer.total_training_steps=4
refused cosine actor.optim.lr_scheduler_type=cosine
has why 'trainer.total_training_steps was "4" and is "8" now'

# ---- an edited task file (D9): Redis holds what was fed before ----

copy a edited
back_to edited 4
sed 's/knight/knave/' tasks/train.jsonl >edited.jsonl
ok 'it is another file' sh -c '! cmp -s tasks/train.jsonl edited.jsonl'
refused edited data.train_files=edited.jsonl
has why 'train prompts was "60 tasks, '
up edited data.train_files=edited.jsonl trainer.resume=changed
nobody_blamed edited
# An edited program that decides answers is another reward, whatever it is called.
copy a verifier
back_to verifier 4
printf 'exit 2\n' >check.sh
refused verifier
has why 'verifier was "'
printf 'exit 1\n' >check.sh
# Lines that say the same in another way are no other data, and nobody's fault either.
copy a spaced
back_to spaced 4
sed 's/^{"id": *"/{"id": "x-/; s/^{"id":"/{"id":"x-/' tasks/train.jsonl >spaced.jsonl
ok 'they are other lines' sh -c '! cmp -s tasks/train.jsonl spaced.jsonl'
up spaced data.train_files=spaced.jsonl
like_a spaced
nobody_blamed spaced

# ---- another processor (D8) ----

core=$("$json" blas_core <run-a/checkpoints/global_step_8/trainer_state.json)
other=Sandybridge
[ "$core" != Sandybridge ] || other=Nehalem
found=$(OPENBLAS_CORETYPE=$other OPENBLAS_VERBOSE=2 "$plait" --version 2>&1 | sed -n 's/^Core: //p')
if [ -n "$found" ] && [ "$found" != "$core" ]; then
    copy a core
    back_to core 4
    export OPENBLAS_CORETYPE=$other
    refused core
    has why "BLAS kernel was \"$core\" and is \"$found\" now"
    up core trainer.resume=changed
    nobody_blamed core
    for step in 4 8; do
        "$json" blas_core <run-core/checkpoints/global_step_$step/trainer_state.json
    done >cores
    printf '%s\n' "$core" "$found" >wanted
    ok 'checkpoints name the kernel that made them' cmp -s cores wanted
    unset OPENBLAS_CORETYPE
else
    say "OpenBLAS has one kind of kernels for this processor: nothing to compare"
fi

# ---- actors and rewarders with other settings (D13) ----

redis-cli -s run-redis/redis.sock FLUSHALL >/dev/null
role() {
    log=$1 program=$2
    shift 2
    "$program" run.yaml run.dir="$dir/run-roles" "$shared" --name="$log" "$@" >"$log.log" 2>&1 &
}
role waiting "$other_build"
waiting=$!
wait_for waiting.log 'run event=waiting reason="no learner has said anything of this run'
role learner-r "$learner"
wait_for waiting.log 'run event=joined'
# says STATUS PROGRAM TEXT SETTING...: it ends at once
says() {
    want=$1 program=$2 text=$3
    shift 3
    expect "$want" timeout $limit_s "$program" run.yaml run.dir="$dir/run-roles" "$shared" \
        --name=stranger "$@"
    has err "$text"
}
says 2 "$rewarder" 'reward.wrong is -9 here, and -1.5 in the run' reward.wrong=-9
says 2 "$rewarder" 'reward.overlong_buffer.len is 3 here, and 0 in the run' reward.overlong_buffer.len=3
says 2 "$actor" 'data.max_response_length is 64 here, and 96 in the run' data.max_response_length=64
cp -r sft/model other
printf ' ' >>other/tokenizer.json
says 2 "$rewarder" 'tokenizer is ' model.path=other
printf 'exit 2\n' >check.sh
says 2 "$rewarder" 'verifier is '
printf 'exit 1\n' >check.sh
role rewarder-r "$rewarder"
wait_for learner-r.log 'stop role=learner'
for pid in $(pgrep -f "$dir/run-roles"); do
    kill "$pid"
done
wait "$waiting"
like_a roles
ok 'nobody has a strike' test "$(redis-cli -s run-redis/redis.sock EXISTS 'plait:{t}:strikes')" = 0

# ---- builds ----

expect 0 "$plait" --version
ok 'the build is said' grep -q '^build ' out
ok 'a mix of builds is said, once' test "$(grep -c 'build event=mixed worker=waiting build=another' learner-r.log)" = 1
ok 'by the learner too' test "$(note build)" = "$(sed -n 's/^build //p' out)"

redis-cli -s run-redis/redis.sock SHUTDOWN NOSAVE 2>/dev/null
finish
