#!/bin/sh
# A run over hosts that are network namespaces, on a bridge in one of their own: Redis with TLS and
# users, the learner, a rewarder, a relay, an actor that has its weights from the learner and one that
# has them from the relay, each with the keys and passwords of its role and no others. Strangers are
# refused, counted and told why; links are cut and heal; and the run ends with the weights of an
# undisturbed one on a single host. Nothing of it touches the host's own network.
# Usage: test_hosts.sh SOURCE PLAIT LEARNER REWARDER ACTOR RELAY
set -u
source=$(readlink -f "$1") plait=$(readlink -f "$2") learner=$(readlink -f "$3")
rewarder=$(readlink -f "$4") actor=$(readlink -f "$5") relay=$(readlink -f "$6")
. "$(dirname "$(readlink -f "$0")")/check.sh"
export OMP_WAIT_POLICY=passive
limit_s=${PLAIT_TEST_LIMIT_S:-240} # of the run

skip() {
    echo "skipped: $*"
    rm -rf "$dir"
    exit 77
}
[ "$(id -u)" -eq 0 ] || skip 'network namespaces need root'
for tool in ip nft redis-server redis-cli; do
    command -v $tool >/dev/null || skip "$tool is not installed (deploy/install-deps.sh --full installs it)"
done

# ---- hosts ----

net=plait-$$
hosts='switch redis learner rewarder relay actor-1 actor-2 stranger'
pids=

tear_down() {
    for pid in $pids; do
        kill -9 "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
    pids=
    for host in $hosts; do
        ip netns del "$net-$host" 2>/dev/null
    done
}
trap 'tear_down; rm -rf "$dir"' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

on() {
    host=$1
    shift
    ip netns exec "$net-$host" "$@"
}

# 10.77.0.N, the N-th of the list
address() {
    n=0
    for host in $hosts; do
        [ "$host" != "$1" ] || break
        n=$((n + 1))
    done
    echo "10.77.0.$n"
}

build_net() {
    for host in $hosts; do
        ip netns add "$net-$host" && on "$host" ip link set lo up || return
    done
    on switch ip link add bridge type bridge && on switch ip link set bridge up || return
    on switch nft 'add table bridge cut' &&
        on switch nft 'add chain bridge cut drops { type filter hook forward priority 0 ; }' || return
    for host in ${hosts#switch }; do
        ip -n "$net-switch" link add "$host" type veth peer name eth0 netns "$net-$host" &&
            ip -n "$net-switch" link set "$host" master bridge up &&
            ip -n "$net-$host" address add "$(address "$host")/24" dev eth0 &&
            ip -n "$net-$host" link set eth0 up || return
    done
}
build_net 2>net.err || skip "no network namespaces here: $(head -n 1 net.err)"

# start NAME HOST PROGRAM WORD...: its process in NAME.pid, what it says in NAME.log; it finds the
# files of its host by $CREDENTIALS_DIRECTORY
start() {
    name=$1 host=$2
    shift 2
    CREDENTIALS_DIRECTORY="$dir/hosts/$host" ip netns exec "$net-$host" "$@" >"$name.log" 2>&1 &
    echo $! >"$name.pid"
    pids="$! $pids"
}

stop() {
    kill -TERM "$(cat "$1.pid")" 2>/dev/null
    wait "$(cat "$1.pid")" 2>/dev/null
}

# ---- a model that knows the form a little, and the run it is compared with ----

steps=300
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
expect 0 "$plait" sft base sft.jsonl --output sft --steps 90 --batch-size 16 --lr 6e-3 --quiet
printf '<|interleave|>\n' >instruction.txt
cat >alone.yaml <<END
run: {name: t, dir: $dir/run, seed: 5}
model.path: sft/model
data: {train_files: [tasks/train.jsonl], val_files: [tasks/test.jsonl],
       instruction: instruction.txt, max_prompt_length: 128, max_response_length: 96,
       train_batch_size: 6}
rollout: {n: 4, staleness: 1}
reward.unparsed: -0.5
actor: {optim.lr: 1e-3, ppo_max_token_len: 1024, ppo_mini_batch_size: 3}
trainer: {total_training_steps: $steps, save_freq: 20, test_freq: 100}
workers.actor_slots: 16
END
[ $failures -eq 0 ] || finish # nothing to run
expect 0 timeout "$limit_s" "$plait" up alone.yaml run.dir="$dir/alone" --quiet

# ---- keys, users, certificates; each host has its own and no others ----

expect 0 "$plait" keygen keys
expect 0 "$plait" keygen others
expect 0 "$plait" redis acl redis
expect 0 "$plait" redis certs redis "$(address redis)"
for host in learner rewarder relay actor-1 actor-2 stranger; do
    role=${host%-[12]}
    mkdir -p "hosts/$host/keys"
    cp redis/ca.crt redis/client.crt redis/client.key "hosts/$host"
    cp keys/learner.pub "hosts/$host/keys"
    if [ "$host" = stranger ]; then
        cp others/relay.key keys/relay.pub "hosts/$host/keys" # a key that nobody knows
        continue
    fi
    cp "redis/$role.password" "hosts/$host"
    cp "keys/$role.key" "hosts/$host/keys"
done
for host in learner rewarder relay; do
    cp keys/allow "hosts/$host/keys"
done
cp keys/relay.pub hosts/actor-2/keys
mkdir -p hosts/stranger/mistaken hosts/redis
cp keys/relay.key hosts/stranger/mistaken # ours, and takes others for the learner and the relay
cp others/learner.pub others/relay.pub hosts/stranger/mistaken
cp keys/allow hosts/stranger/keys
cp keys/allow hosts/stranger/mistaken

cat >run.yaml <<END
inherit: alone.yaml
link: {lease_s: 2, redis: "rediss://$(address redis):6379",
       announce: "tcp://$(address learner):7711", serve: "tcp://$(address learner):7712"}
redis: {user: "{role}", password_file: "{role}.password", tls_ca: ca.crt, tls_cert: client.crt,
        tls_key: client.key}
relay: {announce: "tcp://$(address relay):7721", serve: "tcp://$(address relay):7722", cache_mb: 16}
END
near="link.announce=tcp://$(address relay):7721 link.serve=tcp://$(address relay):7722 link.peer=relay"

# ask USER WORD...: of Redis, from the learner's host
ask() {
    user=$1
    shift
    REDISCLI_AUTH=$(cat "redis/$user.password") on learner redis-cli -h "$(address redis)" --tls \
        --cacert redis/ca.crt --cert redis/client.crt --key redis/client.key --user "$user" \
        --no-auth-warning "$@"
}

# done_steps: how many are written
done_steps() {
    cat run/metrics.jsonl 2>/dev/null | grep -c pg_loss
}

# further N: waits until that many more steps are written
further() {
    goal=$(($(done_steps) + $1)) end=$(($(date +%s) + limit_s))
    while [ "$(done_steps)" -lt $goal ]; do
        if [ "$(date +%s)" -ge $end ] || ! kill -0 "$(cat learner.pid)" 2>/dev/null; then
            wrong "no step $goal"
            tail -n 4 ./*.log
            finish
        fi
        sleep 0.02
    done
}

cut=0
# cut_link HOST: the cable is out for three seconds
cut_link() {
    echo "    after step $(done_steps) the link of $1 is cut for 3 s"
    ip -n "$net-switch" link set "$1" down
    sleep 3
    ip -n "$net-switch" link set "$1" up
    cut=$((cut + 1))
}

# ---- the run ----

mkdir redis/data
start redis redis redis-server "$source/deploy/redis/redis.conf" --bind "$(address redis)" \
    --tls-cert-file "$dir/redis/redis.crt" --tls-key-file "$dir/redis/redis.key" \
    --tls-ca-cert-file "$dir/redis/ca.crt" --aclfile "$dir/redis/users.acl" --dir "$dir/redis/data"
for _ in $(seq 600); do
    ask admin PING 2>/dev/null | grep -q PONG && break
    sleep 0.1
done
CREDENTIALS_DIRECTORY=redis expect 0 ip netns exec "$net-learner" "$plait" redis init run.yaml
start learner learner "$learner" run.yaml --name learner link.keys=hosts/learner/keys
start rewarder rewarder "$rewarder" run.yaml --name rewarder link.keys=hosts/rewarder/keys
start relay relay "$relay" run.yaml --name relay link.keys=hosts/relay/keys
start actor-1 actor-1 "$actor" run.yaml --name actor-1 link.keys=hosts/actor-1/keys
# shellcheck disable=SC2086 # words
start actor-2 actor-2 "$actor" run.yaml --name actor-2 link.keys=hosts/actor-2/keys $near

# Strangers that ask for weights, of the learner and of the relay; a relay needs no Redis to do that.
further 1
for kind in unknown mistaken plain; do
    case $kind in
    unknown) keys=hosts/stranger/keys ;;
    mistaken) keys=hosts/stranger/mistaken ;;
    plain) keys= ;;
    esac
    for whom in learner relay; do
        name=$kind-$whom words=
        [ $whom = learner ] || words=$near
        [ $kind != plain ] || words=${words% link.peer=*} # which is nothing without keys
        # shellcheck disable=SC2086 # words
        start "$name" stranger "$relay" run.yaml --name relay link.keys="$keys" $words \
            link.redis="unix://$dir/none.sock" redis.user= redis.password_file= redis.tls_ca= \
            redis.tls_cert= redis.tls_key= \
            relay.announce="ipc://$dir/$name.pub" relay.serve="ipc://$dir/$name.serve"
    done
done
# Whoever speaks no CURVE sees whom it has met, and may go away before it is seen itself.
refused() {
    grep -qF "door event=refused address=$(address stranger) reason=\"$2" "$1.log"
}
strangers_refused() {
    for whom in learner relay; do
        refused $whom 'its key is in no line' && refused $whom 'it takes us for another' &&
            { refused $whom 'it does not speak CURVE' || refused $whom 'it went away'; } || return
    done
}
end=$(($(date +%s) + limit_s))
until strangers_refused || [ "$(date +%s)" -ge $end ] || ! kill -0 "$(cat learner.pid)" 2>/dev/null; do
    sleep 0.02
done
said='the strangers'
ok 'each is refused, and it is said why' strangers_refused
# An actor with our keys, but no password; and what is not even TLS, or has no certificate.
cp keys/actor.key hosts/stranger/keys
start poor stranger "$actor" run.yaml --name poor link.keys=hosts/stranger/keys redis.user= \
    redis.password_file=
expect 1 on stranger timeout 5 redis-cli -h "$(address redis)" PING
expect 1 on stranger timeout 5 redis-cli -h "$(address redis)" --tls --cacert redis/ca.crt PING
expect 0 on stranger timeout 5 redis-cli -h "$(address redis)" --tls --cacert redis/ca.crt \
    --cert redis/client.crt --key redis/client.key PING
has out NOAUTH
REDISCLI_AUTH=guess on stranger timeout 5 redis-cli -h "$(address redis)" --tls --cacert redis/ca.crt \
    --cert redis/client.crt --key redis/client.key --user actor --no-auth-warning PING >out 2>&1
has out WRONGPASS

cut_link actor-1
healed_1=$(done_steps)
further 5
echo "    after step $(done_steps) what the learner sends the relay is dropped for 3 s"
on switch nft "add rule bridge cut drops ip saddr $(address learner) ip daddr $(address relay) drop"
sleep 3
on switch nft 'flush chain bridge cut drops'
cut=$((cut + 1))
healed_2=$(done_steps)
further 5
cut_link learner
further 5
cut_link redis
healed=$(done_steps)
for _ in $(seq $((10 * limit_s))); do
    kill -0 "$(cat learner.pid)" 2>/dev/null || break
    sleep 0.1
done
said='the run over hosts'
wait "$(cat learner.pid)"
ok 'the learner is done' test $? -eq 0
ok "$cut links were cut" test $cut -eq 4
ok 'the weights are those of the run alone' cmp alone/model/model.safetensors run/model/model.safetensors
ok 'each step once' test "$(grep -c pg_loss run/metrics.jsonl)" -eq $steps
ok "the run went on after the last cut, from step $healed" test "$healed" -lt $((steps - 10))
# newest NAME: the version that an actor had at last
newest() {
    sed -n 's/.*event=installed version=\([0-9]*\).*/\1/p' "$1.log" | sort -n | tail -n 1
}
ok "actor-1 went on after its link was cut until step $healed_1: $(newest actor-1)" \
    test "$(newest actor-1)" -gt $((healed_1 + 3))
ok "actor-2 went on after the relay's source was cut off until step $healed_2: $(newest actor-2)" \
    test "$(newest actor-2)" -gt $((healed_2 + 3))
for name in actor-1 actor-2; do
    ok "$name took part" grep -q 'finished group=' $name.log
done

# ---- who was refused ----

for whom in learner relay; do
    lacks $whom.log "address=$(address actor-1) reason=\"its key"
    lacks $whom.log "address=$(address actor-2) reason=\"its key"
    has unknown-$whom.log "does not let in our key 'relay'"
    has mistaken-$whom.log 'is it who'
    has plain-$whom.log "link.keys'"
    for kind in unknown mistaken plain; do
        lacks $kind-$whom.log 'event=announced'
    done
done
expect 0 ask viewer HGET 'plait:{t}:worker:relay' refused_peers
ok "the relay counted them: $(cat out)" test "$(cat out)" -ge 3
wait_for poor.log NOAUTH
lacks poor.log 'leased group='
expect 0 ask admin ACL LOG
has out "addr=$(address stranger):"
stop relay
has relay.log 'stop role=relay name=relay signal=15'
has relay.log 'refused_chunks=0 forged=0'
ok 'the relay served actor-2' grep -q 'served_chunks=[1-9]' relay.log
tear_down
ok 'no host is left' sh -c "! ip netns list | grep -q '^$net-'"
finish
