#!/bin/sh
# plait up as a supervisor, with programs of the test's own in place of the learner, actors and
# rewarders: one at a time in a folder, what it says and does when they die or are told to stop, what
# it leaves behind and finds, and when it calls a run done.
# Usage: test_crew.sh PLAIT
set -u
built=$(readlink -f "$1")
. "$(dirname "$(readlink -f "$0")")/check.sh"
trap 'end_all; rm -rf "$dir"' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
limit_s=${PLAIT_TEST_LIMIT_S:-60}
ours=

if ! command -v redis-server >/dev/null || ! command -v redis-cli >/dev/null; then
    echo "skipped: redis-server is not installed (deploy/install-deps.sh installs it)"
    exit 77
fi

end_all() {
    for pid in $ours $(cat "$dir"/run-*/*.pid 2>/dev/null); do
        kill -9 "$pid" 2>/dev/null
    done
    for file in "$dir"/run-*/plait-up.lock; do
        [ ! -e "$file" ] || sed -n 's/^child [^ ]* [^ ]* \([0-9]*\) .*/\1/p' "$file" | while read -r pid; do
            kill -9 "$pid" 2>/dev/null
        done
    done
}

# until WHAT COMMAND...: waits for it
until_ok() {
    what=$1 end=$(($(date +%s) + limit_s))
    shift
    until "$@" >/dev/null 2>&1; do
        if [ "$(date +%s)" -ge $end ]; then
            said="waiting" && wrong "$what"
            return 1
        fi
        sleep 0.05
    done
    checks=$((checks + 1))
}

# ---- programs: each counts its starts, then does what its script in run.dir says ----

mkdir bin
cp "$built" bin/plait
plait=$dir/bin/plait
for role in learner actor rewarder; do
    cat >bin/plait-$role <<'END'
#!/bin/sh
for word; do
    case $word in
    run.dir=*) run=${word#run.dir=} ;;
    --name=*) name=${word#--name=} ;;
    esac
done
cd "$run" || exit 1
echo $$ >"$name.pid"
echo x >>"$name.starts"
step() { # step N: a line of metrics
    echo "{\"training/global_step\": $1, \"timing_s/step\": 1, \"actor/pg_loss\": 0}" >>metrics.jsonl
}
saved() { # saved N: a checkpoint
    mkdir -p "checkpoints/global_step_$1"
    echo "global_step_$1" >checkpoints/latest
}
model() { # model STEP: the result, of that step
    mkdir -p model
    echo '{}' >model/config.json
    echo "{\"run\": \"t\", \"step\": $1}" >model/plait_result.json
}
busy() { # busy SECONDS: works for so long, whatever comes
    trap : TERM
    until=$(($(date +%s) + $1))
    while [ "$(date +%s)" -lt $until ]; do sleep 0.1; done
}
rest() { # until it is told to stop
    trap 'exit 0' TERM
    while :; do sleep 0.1; done
}
if [ -e "$name.sh" ]; then . "./$name.sh"; else rest; fi
END
    chmod +x bin/plait-$role
done
cat >run.yaml <<'END'
run: {name: t, dir: none}
model.path: m
data.train_files: [t.jsonl]
trainer.total_training_steps: 20
END

# begin NAME [SETTING...]: plait up in run-NAME, in the background
begin() {
    name=$1
    shift
    mkdir -p "run-$name"
    : >"run-$name/plait.lock"
    "$plait" up run.yaml run.dir="$dir/run-$name" "$@" >"$name.log" 2>&1 &
    run=$!
    ours="$ours $run"
}

# script NAME MEMBER: its program, from standard input
script() {
    mkdir -p "run-$1"
    cat >"run-$1/$2.sh"
}

starts() {
    wc -l <"run-$1/$2.starts" 2>/dev/null || echo 0
}

# over NAME PID STATUS: it ends so
over() {
    said="plait up of run-$1"
    until_ok "run-$1 ends" sh -c "! kill -0 $2"
    wait "$2"
    status=$?
    checks=$((checks + 1))
    [ $status -eq "$3" ] || {
        wrong "exit status $status, not $3"
        tail -n 5 "$1.log" | sed 's/^/    /'
    }
}

answers() {
    redis-cli -s "run-$1/redis.sock" PING
}

# ---- what ends a run at once, and what does not; all at the same time, since they wait ----

# The learner says what a person must change.
script refused learner <<'END'
echo "plait-learner: the settings of the run are other ones" >&2
exit 2
END
begin refused && refused=$run

# An actor that cannot go on, while the learner still has to write its checkpoint.
script drained actor-1 <<'END'
until [ -e learner.pid ]; do sleep 0.05; done
sleep 0.3
echo "2026-12-01T00:00:00.000Z error failed role=actor code=EINVAL reason=\"the \\\"model\\\" is another\"" >&2
exit 2
END
script drained learner <<'END'
trap 'busy 8; saved 3; exit 0' TERM
while :; do sleep 0.1; done
END
begin drained && drained=$run

# A learner that gets no further; one that does, however often it dies.
script stuck learner <<'END'
echo "plait-learner: it does not fit" >&2
exit 1
END
begin stuck && stuck=$run
script moves learner <<'END'
n=$(wc -l <learner.starts)
step "$n"
[ "$n" -ge 8 ] || kill -9 $$
model 20
exit 0
END
begin moves && moves=$run

# An actor that dies again and again beside a learner that goes on.
script actors actor-1 <<'END'
kill -SEGV $$
END
script actors learner <<'END'
until [ -e finish ]; do sleep 0.1; done
step 20
model 20
exit 0
END
begin actors && actors=$run

# Somebody else stops the learner, and the model that lies there is that of an earlier end.
script stale learner <<'END'
n=$(wc -l <learner.starts)
saved 7
if [ "$n" -ge 2 ]; then model 20; exit 0; fi
rest
END
mkdir -p run-stale/model && echo '{}' >run-stale/model/config.json
echo '{"run": "t", "step": 4}' >run-stale/model/plait_result.json
begin stale && stale=$run
until_ok 'the learner of run-stale is there' test -s run-stale/learner.pid
sleep 0.3
kill -TERM "$(cat run-stale/learner.pid)"

# Somebody else's learner.
mkdir -p run-stranger
: >run-stranger/plait.lock
if command -v flock >/dev/null; then
    sh -c 'exec 9>>run-stranger/plait.lock; flock 9; exec sleep 1000' >/dev/null 2>&1 &
    ours="$ours $!"
    sleep 0.2
    begin stranger && stranger=$run
fi

over refused "$refused" 2
has refused.log 'plait up: learner cannot go on: the settings of the run are other ones'
ok 'it was started once' test "$(starts refused learner)" -eq 1

over stale "$stale" 0
has stale.log 'somebody asked it to stop'
ok 'the learner was started again' test "$(starts stale learner)" -eq 2
has stale.log "done: the model is in '$dir/run-stale/model'"

over drained "$drained" 2
has drained.log 'plait up: actor-1 cannot go on: the "model" is another'
ok 'the learner had its 8 seconds' test -e run-drained/checkpoints/latest
has drained.log 'waiting for the learner'

over stuck "$stuck" 1
has stuck.log "learner died 5 times without a step between: it ended with status 1, saying 'it does not fit'"
ok 'it was started five times' test "$(starts stuck learner)" -eq 5

until_ok 'the actor died five times' grep -q 'name=actor-1 .*in_a_row=5' actors.log
ok 'the run goes on' kill -0 "$actors"
has actors.log 'was ended by signal 11'
touch run-actors/finish
over actors "$actors" 0
has actors.log 'done: the model is in'

over moves "$moves" 0
ok 'it was started eight times' test "$(starts moves learner)" -eq 8
if [ -n "${stranger-}" ]; then
    over stranger "$stranger" 2
    has stranger.log "a learner that no plait up started is at work in '$dir/run-stranger'"
    ok 'nothing was started beside it' test ! -e run-stranger/actor-1.starts
fi

# ---- one at a time ----

script one learner <<'END'
trap 'busy 9; saved 5; exit 0' TERM
saved 4
while :; do sleep 0.1; done
END
begin one && one=$run
until_ok 'Redis answers' answers one
until_ok 'the learner is there' test -s run-one/learner.pid
socket=$(stat -c %i run-one/redis.sock)
learner=$(cat run-one/learner.pid)
expect 2 timeout 20 "$plait" up run.yaml run.dir="$dir/run-one"
has err "another plait up is at work in '$dir/run-one': process $one on $(hostname), since "
one_sentence
ok 'the socket is the first one' test "$(stat -c %i run-one/redis.sock)" = "$socket"
ok 'whose Redis answers' answers one
ok 'and whose learner is there' kill -0 "$learner"
ok 'the folder of something else is left alone' mkdir strange strange/things
expect 2 timeout 20 "$plait" up run.yaml run.dir="$dir/strange"
has err "'$dir/strange' is not the folder of a run"
ok 'nothing is in it' test "$(ls strange)" = things

# It is killed: the next one waits for the learner, which takes longer than five tries.
kill -9 "$one"
wait "$one" 2>/dev/null
script one learner <<'END'
model 20
exit 0
END
begin one && two=$run
until_ok 'it says for what it waits' grep -q \
    "an earlier plait up was killed; what it left finishes and saves first: .*learner (process $learner)" one.log
over one "$two" 0
ok 'the first learner wrote its checkpoint' test "$(cat run-one/checkpoints/latest)" = global_step_5
ok 'before the second began' test "$(starts one learner)" -eq 2
has one.log 'done: the model is in'

# A private Redis that is left over.
mkdir -p run-left
redis-server --port 0 --dir "$dir/run-left" --unixsocket "$dir/run-left/redis.sock" \
    --appendonly yes --save '' >left-redis.log 2>&1 &
left=$!
ours="$ours $left"
until_ok 'it is up' answers left
ok 'it holds something' redis-cli -s run-left/redis.sock SET kept yes
script left learner <<'END'
[ "$(redis-cli -s redis.sock GET kept)" = yes ] || exit 2
redis-cli -s redis.sock CONFIG GET maxmemory-policy >policy
model 20
exit 0
END
begin left
over left "$run" 0
has left.log "the Redis that an earlier plait up left (process $left) is stopped first"
ok 'the queues are not thrown away' grep -q noeviction run-left/policy

# A Redis that others look after, and that takes no hand-overs or answers nothing: up, status and
# doctor say so at once, and why.
script apart learner <<'END'
model 20
exit 0
END
elsewhere() { # elsewhere WORD...: it is started so
    mkdir -p elsewhere
    redis-server --port 0 --dir "$dir/elsewhere" --unixsocket "$dir/elsewhere/redis.sock" \
        --save '' "$@" >elsewhere.log 2>&1 &
    redis=$!
    ours="$ours $redis"
}
at_redis() {
    redis-cli -s elsewhere/redis.sock "$@"
}
answers_with() { # answers_with TEXT COMMAND...
    text=$1
    shift
    at_redis "$@" 2>&1 | grep -q "$text"
}
# refuses CODE WORDS NAME FOUND: what up and status say of it, and the check of doctor that fails
refuses() {
    begin apart link.redis="unix://$dir/elsewhere/redis.sock"
    over apart "$run" 0
    has apart.log "warning: $2"
    has apart.log "($1)"
    rm -rf run-apart/model
    cp run.yaml run-apart/config.yaml # which the learner would have written
    "$plait" status run-apart link.redis="unix://$dir/elsewhere/redis.sock" >out 2>err
    rm run-apart/config.yaml
    has out "${2#Redis is waited for: }"
    has out "($1)"
    "$plait" doctor run.yaml run.dir="$dir/run-apart" \
        link.redis="unix://$dir/elsewhere/redis.sock" >out 2>err
    ok "doctor on $1: $3 $4" grep -q "^[a-z]*  *$3  .*$4" out
    lacks out 'is Redis started'
    kill -9 "$redis"
    wait "$redis" 2>/dev/null
    rm -rf elsewhere
}
elsewhere
until_ok 'it is up' at_redis PING
at_redis REPLICAOF 127.0.0.1 1 >/dev/null
until_ok 'it refuses' answers_with READONLY SET a b
refuses READONLY 'Redis is a replica that has lost its primary, which takes no hand-overs' \
    redis.role 'a replica: it takes no hand-overs'
elsewhere --replica-serve-stale-data no --replicaof 127.0.0.1 1
until_ok 'it refuses' answers_with MASTERDOWN GET a
refuses MASTERDOWN \
    'Redis is waited for: Redis is a replica that has lost its primary, and answers nothing' \
    redis.role 'a replica: it takes no hand-overs'
elsewhere --min-replicas-to-write 1
until_ok 'it refuses' answers_with NOREPLICAS SET a b
refuses NOREPLICAS 'Redis has no replica that keeps up, and refuses hand-overs without one' \
    redis.replicas 'it refuses hand-overs (NOREPLICAS)'
elsewhere --save '3600 1'
until_ok 'it is up' at_redis PING
mkdir -p elsewhere/dump.rdb/full
at_redis BGSAVE >/dev/null
until_ok 'it refuses' answers_with MISCONF SET a b
refuses MISCONF 'Redis could not write its file, and refuses hand-overs until it can' \
    redis.snapshot 'Redis refuses hand-overs until one is (MISCONF)'
elsewhere --maxmemory 500kb
until_ok 'it refuses' answers_with OOM SET a b
refuses OOM 'Redis is full, and refuses new work' redis.maxmemory 'no new work is taken'
elsewhere
until_ok 'it is up' at_redis PING
i=0
while [ $i -lt 500 ]; do # half a minute of loading
    echo "SETRANGE key-$i 5000 x"
    i=$((i + 1))
done | at_redis >/dev/null
at_redis SAVE >/dev/null
kill -9 "$redis"
wait "$redis" 2>/dev/null
elsewhere --key-load-delay 60000 --loading-process-events-interval-bytes 1024
until_ok 'it loads' answers_with LOADING GET a
refuses LOADING \
    'Redis is waited for: Redis is loading its data from the disk, and answers when it has' \
    redis.loading 'it is reading its data from the disk'
begin apart link.redis="unix://$dir/nowhere.sock"
over apart "$run" 0
has apart.log 'warning: Redis is waited for: '

# ---- being told to stop ----

script stop learner <<'END'
trap 'busy 7; saved 12; exit 0' TERM
while :; do sleep 0.1; done
END
begin stop && stop=$run
until_ok 'the learner is there' test -s run-stop/learner.pid
until_ok 'the actor is there' test -s run-stop/actor-1.pid
sleep 0.3
kill -TERM "$stop"
sleep 0.2
kill -TERM "$stop" # which changes nothing
over stop "$stop" 143
has stop.log 'stopping: the learner writes a checkpoint of the last finished step; Ctrl-C again leaves at once'
has stop.log 'waiting for the learner'
has stop.log 'stopped at step 12 of 20; the same command goes on from there'
lacks stop.log done:

# However long it takes, as long as something moves in it; what stands still hangs, after 120 s or
# what it may take to stop and 10 s more.
script works learner <<'END'
trap 'busy 15; saved 12; exit 0' TERM
: >ready
while :; do sleep 0.1; done
END
script stands learner <<'END'
trap '' TERM
: >ready
exec sleep 1000
END
for each in works stands; do
    begin $each workers.learner_drain_s=1
    until_ok 'the learner is there' test -e run-$each/ready
    kill -TERM "$run"
    echo "$run" >$each.run
done

script twice learner <<'END'
busy 1000
END
begin twice && twice=$run
until_ok 'the learner is there' test -s run-twice/learner.pid
sleep 0.3
kill -INT "$twice"
sleep 0.3
kill -INT "$twice"
over twice "$twice" 130
kill -9 "$(cat run-twice/learner.pid)"

over works "$(cat works.run)" 143
has works.log 'stopped at step 12 of 20; the same command goes on from there'
over stands "$(cat stands.run)" 1
has stands.log 'the learner was ended by signal 9'
finish
