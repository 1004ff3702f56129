#!/bin/sh
# Redis with users and TLS, by the configuration that plait ships: a whole run in which each program
# is its own user ends with the weights of one on a private Redis, though an actor's password and the
# certificates change under it; and each way to be let in wrongly has its sentence.
# Usage: test_vault.sh PLAIT SOURCE
set -u
plait=$(readlink -f "$1")
source=$(readlink -f "$2")
. "$(dirname "$(readlink -f "$0")")/check.sh"
trap 'end_all; rm -rf "$dir"' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
export OMP_WAIT_POLICY=passive
limit_s=${PLAIT_TEST_LIMIT_S:-120} # of one run
servers=

for program in redis-server redis-cli openssl; do
    if ! command -v $program >/dev/null; then
        echo "skipped: $program is not installed (apt-get install redis-server openssl)"
        exit 77
    fi
done

end_all() {
    for pid in $servers $(pgrep -f "$dir/run-"); do
        kill -9 "$pid" 2>/dev/null
    done
}

# serve NAME WORD...: a Redis of the shipped configuration in ./NAME, on a TLS port that is free, in
# $port; WORDs go before what it says
serve() {
    name=$1
    shift
    mkdir -p "$name"
    for port in $(seq $((20000 + $$ % 20000)) 37 60000); do
        redis-server "$source/deploy/redis/redis.conf" --dir "$dir/$name" --bind 127.0.0.1 127.0.0.2 \
            --tls-port "$port" --unixsocket "$dir/$name/sock" --aclfile "$dir/redis/users.acl" \
            --tls-cert-file "$dir/redis/redis.crt" --tls-key-file "$dir/redis/redis.key" \
            --tls-ca-cert-file "$dir/redis/ca.crt" "$@" >"$name.log" 2>&1 &
        server=$!
        for _ in $(seq 1200); do
            [ -S "$name/sock" ] && break 2
            kill -0 $server 2>/dev/null || break
            sleep 0.05
        done
        kill -9 $server 2>/dev/null
    done
    servers="$servers $server"
    [ -S "$name/sock" ] || {
        wrong "$name is not up"
        tail -n 5 "$name.log"
        finish
    }
}

# admin NAME COMMAND...: as people do it, on the socket
admin() {
    socket=$1/sock
    shift
    REDISCLI_AUTH=$(cat redis/admin.password) redis-cli -s "$socket" --user admin "$@" 2>&1
}

# refused SENTENCE SETTING...: plait redis init fails with it, and with no password in it; its exit
# status says that a person must look, or is $may_pass where another try could go well
may_pass=
refused() {
    want_text=$1
    shift
    expect "${may_pass:-2}" "$plait" redis init run.yaml "$@"
    one_sentence
    has err "$want_text"
    for file in redis/*.password; do
        lacks err "$(cat "$file")"
    done
}

# ---- certificates and users ----

expect 0 "$plait" redis certs redis localhost 127.0.0.1
expect 1 "$plait" redis certs redis localhost
has err "--renew makes new ones of the same authority"
expect 1 "$plait" redis certs redis 'local host' --renew
has err "'local host' is no name of a host"
expect 0 "$plait" redis acl redis
ok 'the files are private' test "$(stat -c %a redis/*.key redis/*.password redis/users.acl | sort -u)" = 600
expect 1 "$plait" redis acl redis --renew nobody
has err "'nobody' is no user"
cp redis/client.crt first-client.crt
cp redis/ca.crt first-ca.crt

serve main
main=$port
cat >run.yaml <<END
run: {name: t, dir: none, seed: 5}
model.path: base
data: {train_files: [tasks/train.jsonl], val_files: [tasks/test.jsonl],
       instruction: instruction.txt, max_prompt_length: 128, max_response_length: 48,
       train_batch_size: 6}
rollout: {n: 4, staleness: 1}
reward.unparsed: -0.5
actor: {optim.lr: 1e-3, ppo_max_token_len: 1024}
trainer: {total_training_steps: 24, save_freq: 8}
workers.actor_slots: 16
link: {redis: "rediss://localhost:$main", lease_s: 2}
redis: {user: "{role}", password_file: "redis/{role}.password", tls_ca: redis/ca.crt,
        tls_cert: redis/client.crt, tls_key: redis/client.key}
END

# ---- who is not let in, and what is said ----

expect 0 "$plait" redis certs other localhost
refused "is not vouched for by 'other/ca.crt': it is another Redis" redis.tls_ca=other/ca.crt
refused "is not vouched for by the system's authorities" redis.tls_ca=
refused "its certificate is not for '127.0.0.2' but for localhost, 127.0.0.1" \
    link.redis="rediss://127.0.0.2:$main"
refused "demands a certificate of its clients (tls-auth-clients yes): set redis.tls_cert" \
    redis.tls_cert= redis.tls_key=
refused "does not take the certificate 'other/client.crt'" redis.tls_cert=other/client.crt \
    redis.tls_key=other/client.key
refused "'other/client.key' is not the key of 'redis/client.crt'" redis.tls_key=other/client.key
refused "redis.tls_ca: 'none.crt' cannot be used" redis.tls_ca=none.crt
refused "redis.tls_cert: 'run.yaml' cannot be used" redis.tls_cert=run.yaml
may_pass=1
refused "the connection was closed before anything was said: a port for TLS does that (rediss://" \
    link.redis="redis://localhost:$main" redis.tls_ca= redis.tls_cert= redis.tls_key=
may_pass=
refused "is not asked over TLS: write rediss://HOST:PORT" link.redis="redis://localhost:$main"
refused "does not know the user 'actor' by the password in 'redis/viewer.password' (WRONGPASS)" \
    redis.user=actor redis.password_file=redis/viewer.password
refused "lets nobody in without a user and a password (NOAUTH)" redis.user= redis.password_file=
may_pass=1
refused "does not hold plait's functions, and the user 'learner' may not load them: run \`plait redis init CONFIG\`" \
    redis.user=learner redis.password_file=redis/learner.password
may_pass=
chmod 644 redis/admin.password
refused "'redis/admin.password' holds a secret, but its mode is 0644"
chmod 600 redis/admin.password
chmod 644 redis/client.key
refused "'redis/client.key' holds a secret, but its mode is 0644"
chmod 600 redis/client.key

# A server with TLS 1.2 and a plain port beside it.
serve old --tls-protocols TLSv1.2 --port $((main + 1))
old=$port
refused "demands a certificate of its clients" link.redis="rediss://localhost:$old" \
    redis.tls_cert= redis.tls_key=
may_pass=1
refused "is it the plain" link.redis="rediss://localhost:$((main + 1))"
may_pass=
expect 0 "$plait" redis init run.yaml link.redis="rediss://localhost:$old"

# Certificates that ran out, of the same authority.
for who in redis client; do
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "late-$who.key" \
        -subj "/CN=$who" -addext 'subjectAltName=DNS:localhost' -out late.csr 2>/dev/null
    openssl x509 -req -in late.csr -CA redis/ca.crt -CAkey redis/ca.key -days -1 \
        -copy_extensions copy -out "late-$who.crt" 2>/dev/null
done
refused "does not take the certificate 'late-client.crt'" redis.tls_cert=late-client.crt \
    redis.tls_key=late-client.key
admin old CONFIG SET tls-cert-file "$dir/late-redis.crt" tls-key-file "$dir/late-redis.key" >said
is said OK
refused "its certificate ran out on $(date -u -d "$(openssl x509 -in late-redis.crt -noout -enddate |
    sed 's/.*=//')" +%Y-%m-%d)" link.redis="rediss://localhost:$old"

# ---- the functions ----

expect 0 "$plait" redis init run.yaml
has out 'are loaded'
expect 0 "$plait" redis init run.yaml --json
has out '"loaded": false'
admin main FCALL plait1_code 0 >held
has out "\"functions\": \"$(cat held)\""

[ $failures -eq 0 ] || finish # no run would go well

# ---- a whole run, as the users ----

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

# begin NAME SETTING...
begin() {
    name=$1
    shift
    "$plait" up run.yaml run.dir="$dir/run-$name" "$@" >"$name.log" 2>&1 &
    run=$!
    deadline=$(($(date +%s) + limit_s))
}

running() {
    kill -0 "$run" 2>/dev/null && [ "$(date +%s)" -lt $deadline ]
}

# at STEP: waits until that many steps were written, or the run is over
at() {
    while running && ! grep -qs "\"training/global_step\": $1,.*pg_loss" "run-$name/metrics.jsonl"; do
        sleep 0.02
    done
}

over() {
    while running; do
        sleep 0.05
    done
    checks=$((checks + 1))
    if kill -0 "$run" 2>/dev/null; then
        wrong "$name: not over after $limit_s s"
        end_all
    fi
    wait "$run"
    status=$?
    [ $status -eq 0 ] || {
        wrong "$name: exit status $status, not 0"
        tail -n 5 "run-$name"/logs/*.log "$name.log" | cut -c 1-400
    }
}

begin plain link.redis= redis.user= redis.password_file= redis.tls_ca= redis.tls_cert= redis.tls_key=
over

begin safe
at 2
admin main CLIENT LIST >clients
for role in learner actor rewarder; do
    ok "the $role is its own user" grep -q "name=plait-$role.* user=$role " clients
done
ok 'nobody is the default user' sh -c '! grep -q " user=default " clients'
# All connections are cut, the old password still counts; then it does not.
expect 0 "$plait" redis acl redis --renew actor --renew learner
admin main ACL LOAD >said
is said OK
at 6
expect 0 "$plait" redis acl redis
expect 0 "$plait" redis certs redis localhost --renew
ok 'another certificate' sh -c '! cmp redis/client.crt first-client.crt'
ok 'the same authority' cmp redis/ca.crt first-ca.crt
admin main CONFIG SET tls-cert-file "$dir/redis/redis.crt" >said
is said OK
admin main ACL LOAD >said
is said OK
connected=no
while running && [ $connected = no ]; do
    expect 0 "$plait" status run.yaml run.dir="$dir/run-safe" --json
    ! grep -q '"learner_connected": true' out || connected=yes
done
ok 'the viewer sees the learner come back' test $connected = yes
over
expect 0 "$plait" doctor run.yaml run.dir="$dir/run-safe"
for line in 'redis  *rediss://localhost' "redis.tls  *TLS; the certificate is vouched for and is for 'localhost'" \
    "redis.users  *this is the user 'viewer'" 'redis.functions  *those of this version' \
    'clock.learner  *the clock of the learner'; do
    ok "the doctor says: $line" grep -q "^ok  *$line" out
done
ok 'the run with users and TLS ends with the weights of the other' cmp \
    run-plain/model/model.safetensors run-safe/model/model.safetensors
ok 'the connections were made anew' sh -c \
    'cat run-safe/logs/actor-1.log run-safe/logs/learner.log | grep -q "redis event=connected"'
admin main ACL LOG >log
ok 'nobody was refused while the run was at work' sh -c \
    '! grep -A 1 -e "^object" -e object log | grep -v -e object -e -- -- -e AUTH -e function -e "function|load" | grep -q .'
for file in redis/*.password; do
    ok 'no log holds a password' sh -c "! grep -qF -f $file run-safe/logs/*.log safe.log"
done

# ---- people ----

expect 0 "$plait" dead ls run.yaml --set run.dir="$dir/run-safe" --json
has out '"dead": []'
expect 0 "$plait" status run.yaml run.dir="$dir/run-safe"
has out finished
expect 0 env PLAIT_REDIS_USER=viewer PLAIT_REDIS_PASSWORD_FILE=viewer.password \
    CREDENTIALS_DIRECTORY="$dir/redis" "$plait" status run.yaml run.dir="$dir/run-safe" --json
has out '"learner_connected"'
REDISCLI_AUTH=$(cat redis/viewer.password) redis-cli -p "$main" -h localhost --tls --cacert \
    redis/ca.crt --cert redis/client.crt --key redis/client.key --user viewer \
    HGET 'plait:{t}:run' state >said 2>&1
is said finished

finish
