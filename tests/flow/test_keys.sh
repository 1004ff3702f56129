#!/bin/sh
# Keys: a run over TCP with keys ends with the weights of one without; a stranger is refused and
# counted while it goes; and what would let everybody in is refused before anything is started.
# Usage: test_keys.sh PLAIT ACTOR LEARNER GET
set -u
plait=$(readlink -f "$1")
actor=$(readlink -f "$2")
learner=$(readlink -f "$3")
get=$(readlink -f "$4")
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

# port: a TCP port of the loopback that nobody listens on, in $port
port=$((20000 + $$ % 10000))
next_port() {
    port=$((port + 1))
    while grep -q ":$(printf %04X $port) " /proc/net/tcp; do port=$((port + 1)); done
}

mode() {
    stat -c %a "$1"
}

# ---- plait keygen ----

expect 0 "$plait" keygen keys
has out 'keys/learner.key'
has out 'keys/allow  who may connect'
for name in learner rewarder actor relay; do
    ok "$name.key is its owner's" test "$(mode keys/$name.key)" = 600
    ok "$name.pub is there" test -s keys/$name.pub
    ok "$name is in the list, once" test "$(grep -c "^$name " keys/allow)" -eq 1
    ok "no secret of $name is shown" sh -c \
        "! grep -h secret keys/$name.key | grep -v '#' | cut -c 15- | grep -qF -f - keys/*.pub keys/allow"
done
cp -r keys before
expect 1 "$plait" keygen keys
has err "'keys/allow' is there already, and keys are not overwritten"
expect 1 "$plait" keygen keys --add actor
has err "'keys/actor.key' is there already"
expect 1 "$plait" keygen keys --add new ../bad
has err "'../bad' is no name of a key"
expect 1 "$plait" keygen keys --add new new
has err "the name 'new' is given twice"
ok 'what was there is as it was' diff -r before keys
expect 1 "$plait" keygen none --add actor-1
has err "'none' has no list 'allow' to add to"
expect 0 "$plait" keygen keys --add actor-1
ok 'actor-1 is in the list' grep -q '^actor-1 ' keys/allow
ok 'the others still are' sh -c 'head -n 7 keys/allow | cmp - before/allow'
expect 0 "$plait" keygen strangers learner actor

# ---- what is refused before anything is started ----

cat >config.json <<'END_OF_CONFIG'
{"model_type": "qwen2", "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3,
 "num_key_value_heads": 1, "intermediate_size": 96, "vocab_size": 320, "rope_theta": 10000.0,
 "max_position_embeddings": 512, "rms_norm_eps": 1e-6, "tie_word_embeddings": true}
END_OF_CONFIG
expect 0 "$plait" data generate kk --people 2 --wording plain --names 4 --train 30 --test 4 \
    --seed 3 --split puzzle --output tasks
expect 0 "$plait" data generate kk --people 2 --wording plain --names 4 --count 50 --seed 4 \
    --answers interleave --output sft.jsonl
expect 0 "$plait" tokenizer train --size 320 --token '<think>' --token '</think>' \
    --token '<answer>' --token '</answer>' --token '<|interleave|>' --field prompt \
    --field response --output tokenizer sft.jsonl
expect 0 "$plait" model init config.json base --tokenizer tokenizer
printf '<|interleave|>\n' >instruction.txt
steps=4
cat >run.yaml <<END_OF_RUN
run: {name: t, dir: none, seed: 5}
model.path: base
data: {train_files: [tasks/train.jsonl], val_files: [tasks/test.jsonl],
       instruction: instruction.txt, max_prompt_length: 128, max_response_length: 48,
       train_batch_size: 4}
rollout: {n: 4, staleness: 1}
reward.unparsed: -0.5
actor: {optim.lr: 1e-3, ppo_max_token_len: 1024, entropy_coeff: 0.1}
trainer: {total_training_steps: $steps, save_freq: 2, test_freq: 4}
workers.actor_slots: 16
link: {lease_s: 2}
END_OF_RUN

for setting in announce serve; do
    for at in 'tcp://*:7711' tcp://0.0.0.0:7711 'tcp://[::]:7711' tcp://eth0:7711 tcp://10.1.2.3:7711; do
        expect 2 "$learner" run.yaml run.dir="$dir/run-none" "link.$setting=$at"
        has err "'link.$setting' is '$at', which the network reaches, and there are no keys"
        has err 'plait keygen DIR'
    done
done
expect 2 "$plait" up run.yaml run.dir="$dir/run-none" 'link.serve=tcp://*:7712'
has err "'link.serve' is 'tcp://*:7712', which the network reaches"
ok 'nothing was begun' test ! -e run-none
expect 2 "$plait" up run.yaml run.dir="$dir/run-none" link.keys=nowhere
has err "neither 'learner.key' nor 'learner.key'"
chmod 640 keys/learner.key
expect 2 "$plait" up run.yaml run.dir="$dir/run-none" link.keys=keys
has err "'keys/learner.key' holds secret keys, but its mode is 0640"
has err "chmod 600 'keys/learner.key'"
chmod 600 keys/learner.key

[ $failures -eq 0 ] || finish # nothing to run

# ---- the runs ----

running() {
    kill -0 "$run" 2>/dev/null && [ "$(date +%s)" -lt $deadline ]
}

begin() {
    name=$1 said="run $*"
    shift
    "$plait" up run.yaml run.dir="$dir/run-$name" "$@" >"$name.log" 2>&1 &
    run=$!
    deadline=$(($(date +%s) + limit_s))
}

over() {
    while running; do sleep 0.05; done
    if kill -0 "$run" 2>/dev/null; then
        wrong "not over after $limit_s s"
        end_all
    fi
    wait "$run"
    status=$?
    [ $status -eq 0 ] || {
        wrong "exit status $status, not 0"
        tail -n 5 "$name.log" "run-$name"/logs/*.log | cut -c 1-300
    }
    ok "$name: no process is left" nobody
}

nobody() {
    ! pgrep -f "$dir/run-$name"
}

# insecure: what Redis says of the run that goes, in $insecure
insecure() {
    insecure=
    while running && [ -z "$insecure" ]; do
        insecure=$(redis-cli -s "run-$name/redis.sock" HGET 'plait:{t}:run' insecure 2>/dev/null)
        [ -n "$insecure" ] || sleep 0.02
    done
}

begin plain link.insecure=yes
insecure
ok 'Redis says that it is insecure' test "$insecure" = yes
over
has run-plain/logs/learner.log 'start event=insecure'
has run-plain/logs/actor-1.log 'start event=insecure'

next_port && announce=tcp://127.0.0.1:$port
next_port && serve=tcp://127.0.0.1:$port
next_port && score=tcp://127.0.0.1:$port
http=127.0.0.1:$((port + 1))-$((port + 20))
# A stranger knows all that is no secret, and has keys of its own; Redis does not answer it.
cp before/learner.pub strangers/
begin keys link.keys="$dir/keys" link.announce=$announce link.serve=$serve link.score=$score \
    http.listen="$http" workers.actors=2
strangers=
stranger() { # NAME SETTING...
    who=$1
    shift
    "$actor" run.yaml run.dir="$dir/run-$who" link.announce=$announce link.serve=$serve \
        link.redis="unix://$dir/none.sock" --name="$who" "$@" >"$who.log" 2>&1 &
    strangers="$strangers $!"
}
stranger other link.keys="$dir/strangers"
stranger bare

# The run waits for its actors until both strangers have come to the door.
insecure
actors=
while running && [ -z "$actors" ]; do actors=$(pgrep -P "$run" -f -- '--name=actor-[12]$'); done
# shellcheck disable=SC2086 # words
kill -STOP $actors
refused() {
    grep -qF "door event=refused address=127.0.0.1 reason=\"$1" run-keys/logs/learner.log
}
while running && ! { refused 'its key is in no line' && { refused 'it does not speak CURVE' ||
    refused 'it went away'; }; }; do
    sleep 0.02
done
# shown NAME RESULT: how many connections its metrics tell of, in $shown
shown() {
    where=$(sed -n 's/.* start role=.* http=\([^ ]*\).*/\1/p' "run-keys/logs/$1.log" | tail -n 1)
    shown=$("$get" "$where" /metrics | sed -n "s/^plait_connections_total{.*result=\"$2\".*} //p")
}
"$get" "${score#tcp://}" / >out 2>err # no ZeroMQ at all
while running && ! grep -q 'door event=refused' run-keys/logs/rewarder-1.log; do sleep 0.02; done
shown learner refused
ok "the metrics of the learner tell of the strangers: $shown" test "${shown:-0}" -ge 2
shown rewarder-1 refused
ok "those of the rewarder too: $shown" test "${shown:-0}" -ge 1
# They are told why, too; that comes after the door has said so.
for _ in $(seq 600); do
    grep -q "'link.keys'" bare.log && grep -q 'does not let in' other.log && break
    sleep 0.1
done
# shellcheck disable=SC2086 # words
kill -CONT $actors
ok 'Redis says that it is not insecure' test "$insecure" = no
over
# shellcheck disable=SC2086 # words
kill -9 $strangers 2>/dev/null
ok 'the same weights with keys and without' cmp run-plain/model/model.safetensors \
    run-keys/model/model.safetensors
ok 'they were trained' sh -c '! cmp -s run-keys/model/model.safetensors base/model.safetensors'
lacks run-keys/logs/learner.log 'event=insecure'
has other.log "does not let in our key 'actor'"
has bare.log "'link.keys'"
has run-keys/logs/rewarder-1.log "scores event=open endpoint=$score"

# Somebody with the key that actors share hands over in the name of one that has its own.
expect 0 "$plait" keygen keys --add actor-2
mkdir impostor
cp keys/actor.key keys/learner.pub impostor/
begin vouch link.keys="$dir/keys"
insecure
actors=
while running && [ -z "$actors" ]; do actors=$(pgrep -P "$run" -f -- '--name=actor-1$'); done
kill -STOP "$actors"
"$actor" run.yaml run.dir="$dir/run-vouch" link.keys="$dir/impostor" --name=actor-2 >impostor.log 2>&1 &
impostor=$!
refused="what is said to be of actor 'actor-2' is not signed by a key that the list has for 'actor-2'"
while running && ! grep -qsF "$refused" run-vouch/logs/rewarder-1.log; do sleep 0.02; done
kill -9 $impostor
quarantine=$(redis-cli -s run-vouch/redis.sock HGETALL 'plait:{t}:quarantine')
ok 'the name was not held to blame' test -z "$quarantine"
kill -CONT "$actors"
over
has run-vouch/logs/rewarder-1.log "$refused"
ok 'the same weights, as the honest actor made it anew' cmp run-plain/model/model.safetensors \
    run-vouch/model/model.safetensors

finish
