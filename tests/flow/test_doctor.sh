#!/bin/sh
# plait doctor RUN: what it says of a Redis that is set up well, as people begin, and badly; of
# clocks, limits and disks; and its exit status.
# Usage: test_doctor.sh PLAIT JSON SOURCE
set -u
plait=$(readlink -f "$1")
json=$(readlink -f "$2")
source=$(readlink -f "$3")
. "$(dirname "$(readlink -f "$0")")/check.sh"
trap 'end_all; rm -rf "$dir"' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
servers=

if ! command -v redis-server >/dev/null || ! command -v redis-cli >/dev/null; then
    echo "skipped: redis-server is not installed (deploy/install-deps.sh installs it)"
    exit 77
fi

end_all() {
    for pid in $servers; do
        kill -9 "$pid" 2>/dev/null
    done
}

# serve NAME WORD...: a Redis on the socket ./NAME.sock
serve() {
    name=$1
    shift
    mkdir "$name"
    redis-server "$@" --port 0 --tls-port 0 --dir "$dir/$name" --unixsocket "$dir/$name.sock" \
        >"$name.log" 2>&1 &
    servers="$servers $!"
    for _ in $(seq 200); do
        [ -S "$name.sock" ] && break
        sleep 0.05
    done
    ok "$name is up" test -S "$name.sock"
}

# says NAME VERDICT TEXT: a check in ./out
says() {
    checks=$((checks + 1))
    grep -q "^$2  *$1  .*$3" out || wrong "$1 should be $2: $3"
}

# todo NAME TEXT: what is to be done about it
todo() {
    checks=$((checks + 1))
    grep -A 1 "^[a-z]*  *$1  " out | grep -qF -- "$2" || wrong "of $1 it should say: $2"
}

cat >run.yaml <<END
run: {name: t, dir: $dir/runs/t}
model.path: model
data.train_files: [tasks.jsonl]
link.redis: unix://$dir/poor.sock
END
cat >config.json <<'END'
{"model_type": "qwen2", "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3,
 "num_key_value_heads": 1, "intermediate_size": 96, "vocab_size": 330, "rope_theta": 10000.0,
 "max_position_embeddings": 1024, "rms_norm_eps": 1e-6, "tie_word_embeddings": true}
END
expect 0 "$plait" model init config.json model

# ---- a Redis that nobody set up ----

serve poor --save '' --appendonly no --maxmemory 1gb --maxmemory-policy allkeys-lru
expect 1 "$plait" doctor run.yaml
says redis ok "unix://$dir/poor.sock answers"
says redis.version ok '7\.\|8\.\|9\.'
says redis.users ok 'none: the rights of the socket'
says redis.tls ok 'does not leave this machine'
says redis.functions ok 'none yet: the next worker that connects loads its own'
says redis.appendonly warn 'no: when Redis dies the queues are gone'
todo redis.appendonly 'appendonly yes'
says redis.eviction fail 'allkeys-lru'
todo redis.eviction 'maxmemory-policy noeviction'
says redis.maxmemory ok '1.0 GiB'
says clock.here ok apart
says host.files ok allowed
says host.disk ok "are free in '$dir'"
says host.memory ok 'usable'
has out ' 1 wrong, '
redis-cli -s poor.sock CONFIG SET maxmemory-policy noeviction >/dev/null
redis-cli -s poor.sock CONFIG SET maxmemory 0 >/dev/null
redis-cli -s poor.sock CONFIG SET appendfsync always >/dev/null
expect 0 "$plait" doctor run.yaml
says redis.eviction ok noeviction
says redis.maxmemory warn 'no limit'
says redis.appendfsync warn always
used=$(redis-cli -s poor.sock INFO memory | sed -n 's/^used_memory:\([0-9]*\).*/\1/p')
redis-cli -s poor.sock CONFIG SET maxmemory $((used * 105 / 100)) >/dev/null
expect 0 "$plait" doctor run.yaml
says redis.maxmemory warn 'at the limit no new work is taken'
redis-cli -s poor.sock CONFIG SET maxmemory 4mb >/dev/null
expect 0 "$plait" doctor run.yaml data.train_batch_size=4096
says redis.maxmemory warn 'but the run wants'

# A replica takes no hand-overs.
says redis.role ok 'a primary'
redis-cli -s poor.sock REPLICAOF 127.0.0.1 1 >/dev/null
expect 1 "$plait" doctor run.yaml
says redis.role fail 'a replica: it takes no hand-overs'
todo redis.role 'name the primary by link.redis'
redis-cli -s poor.sock REPLICAOF NO ONE >/dev/null

# Functions of somebody else's version.
redis-cli -s poor.sock FUNCTION LOAD "#!lua name=plait1
redis.register_function{function_name='plait1_code', callback=function() return 'other' end, flags={'no-writes'}}" >/dev/null
expect 0 "$plait" doctor run.yaml
says redis.functions ok 'those of another version'

# Clocks: what workers say of theirs.
now=$(date +%s)
redis-cli -s poor.sock >/dev/null <<END
HSET plait:{t}:worker:good role actor clock $(date +%s%3N)
PEXPIRE plait:{t}:worker:good 180000
HSET plait:{t}:worker:late role actor clock $((now - 20))000
PEXPIRE plait:{t}:worker:late 180000
HSET plait:{t}:worker:lost role actor clock $((now + 7200))000
PEXPIRE plait:{t}:worker:lost 180000
XADD plait:{t}:metrics * timing_s/step 1 clock $((now - 5))000
END
expect 1 "$plait" doctor run.yaml
says clock.good ok apart
says clock.late warn 'behind that of Redis'
says clock.lost fail '7[0-9]* s before that of Redis'
says clock.learner warn 'the clock of the learner.*behind'
todo clock.late 'set clocks by the network'

# ---- limits and disks ----

expect 1 sh -c "ulimit -n 200; exec '$plait' doctor run.yaml"
says host.files fail '200 open files are allowed'
expect 1 "$plait" doctor run.yaml workers.actors=1024 workers.rewarders=1024 workers.rewarder_threads=256
says host.files fail 'a learner of this run may need'
expect 1 "$plait" doctor run.yaml trainer.max_ckpt_to_keep=1000000
says host.disk warn '1000000 checkpoints take about'
redis-cli -s poor.sock DEL 'plait:{t}:worker:lost' >/dev/null
expect 0 "$plait" doctor run.yaml run.memory_max=1000000
says host.memory warn 'usable now; an actor takes'

# ---- keys ----

says keys ok 'none: weights are served on this machine alone'
expect 0 "$plait" doctor run.yaml link.insecure=yes
says keys warn 'link.insecure lets everybody on the network in'
expect 1 "$plait" doctor run.yaml 'link.announce=tcp://*:7711'
says keys fail 'which the network reaches, and there are no keys'
expect 0 "$plait" keygen keys
expect 0 "$plait" doctor run.yaml link.keys=keys
says keys ok 'keys, each as it should be'
chmod 644 keys/learner.key
expect 1 "$plait" doctor run.yaml link.keys=keys
says keys fail 'learner.key'

# ---- the configuration that plait ships, and its users ----

expect 0 "$plait" redis acl acl
serve good "$source/deploy/redis/redis.conf" --aclfile "$dir/acl/users.acl"
redis="link.redis=unix://$dir/good.sock"
expect 1 "$plait" doctor run.yaml "$redis"
says redis fail 'NOAUTH'
users="redis.user={role} redis.password_file=$dir/acl/{role}.password"
# shellcheck disable=SC2086 # words
expect 1 "$plait" doctor run.yaml "$redis" $users
says redis.users ok "this is the user 'viewer'"
says redis.functions fail 'there are none'
todo redis.functions 'plait redis init CONFIG'
says redis.appendfsync unknown "the user 'viewer' may not read Redis' settings (CONFIG)"
# shellcheck disable=SC2086 # words
expect 0 "$plait" redis init run.yaml "$redis" $users
# shellcheck disable=SC2086 # words
expect 0 "$plait" doctor run.yaml "$redis" $users
says redis.functions ok 'those of this version'
says redis.appendonly ok yes
says redis.eviction ok noeviction
says redis.maxmemory ok '4.0 GiB'
has out ' 0 wrong, 1 not known'
expect 0 "$plait" doctor run.yaml "$redis" redis.user=admin redis.password_file=acl/admin.password
says redis.appendfsync ok everysec
has out ' 0 wrong, 0 not known'
# A user without INFO is told what it misses.
expect 0 "$plait" doctor run.yaml "$redis" redis.user=rewarder redis.password_file=acl/rewarder.password
says redis.info unknown "does not let the user 'rewarder' run 'INFO'"

# shellcheck disable=SC2086 # words
expect 0 "$plait" doctor run.yaml "$redis" $users --json
has out '"well": true'
mv out in
expect 0 "$json" checks.0.name
is out host.files

# ---- nobody there ----

expect 1 "$plait" doctor run.yaml link.redis="unix://$dir/nobody.sock"
says redis fail 'No such file'
expect 0 "$plait" doctor run.yaml link.redis=
says redis ok 'plait up starts a private one; it is not running now'
expect 2 "$plait" doctor none.yaml
one_sentence

finish
