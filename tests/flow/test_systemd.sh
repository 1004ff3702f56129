#!/bin/sh
# plait as services on a Debian that is really booted, in a container: installed by meson, Debian's
# Redis with plait's drop-in, the units as they are. During a run actors are added and stopped, one
# hangs, the learner is killed; the run ends with the weights of an undisturbed one outside. Leases are
# of ten minutes: nothing goes on because one ran out.
# Usage: test_systemd.sh BUILD
set -u
build=$(readlink -f "$1")
plait=$build/deploy/plait
. "$(dirname "$(readlink -f "$0")")/check.sh"
export OMP_WAIT_POLICY=passive
limit_s=${PLAIT_TEST_LIMIT_S:-240} # from the boot to the end of the run
machine=$dir/machine
nspawn=
leader=

skip() {
    echo "skipped: $1"
    exit 77
}

start=$(date +%s%N)
say() {
    echo "[$((($(date +%s%N) - start) / 1000000)) ms] $*"
}

take_down() {
    if [ -n "$leader" ]; then
        kill -s RTMIN+4 "$leader" 2>/dev/null # power off
        for _ in $(seq 100); do
            kill -0 "$nspawn" 2>/dev/null || break
            sleep 0.1
        done
    fi
    if [ -n "$nspawn" ]; then
        kill -KILL "$nspawn" 2>/dev/null
        wait "$nspawn" 2>/dev/null
    fi
    leader='' nspawn=''
    cd /
    ! mountpoint -q "$machine/root" || umount "$machine/root"
    ! mountpoint -q "$machine" || umount "$machine"
}

trap 'take_down; rm -rf "$dir"' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

[ "$(id -u)" = 0 ] || skip "booting a container needs root"
for program in systemd-nspawn nsenter redis-server redis-cli meson; do
    command -v $program >/dev/null ||
        skip "there is no $program (deploy/install-deps.sh --full installs it)"
done
[ -x /lib/systemd/systemd ] && [ -e /lib/systemd/system/redis-server.service ] ||
    skip "this is no Debian with systemd and redis-server"

# ---- what there is to train, and what an undisturbed run makes of it ----

steps=60
mkdir srv
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
cp -r sft/model srv/model
printf '<|interleave|>\n' >srv/instruction.txt
# Some answers are judged by a program of the user's.
awk 'NR % 4 == 0 { sub(/"verifier": *"kk"/, "\"verifier\":\"exec\"") } { print }' tasks/train.jsonl \
    >srv/train.jsonl
ok 'some tasks are for a program' grep -q '"verifier":"exec"' srv/train.jsonl
cat >srv/verifier <<'END'
#!/bin/sh
while IFS= read -r line; do
    [ ! -e /srv/plait/slow ] || sleep 0.1
    if [ $((${#line} % 2)) -eq 0 ]; then echo '{"correct":true}'; else echo '{"correct":false}'; fi
done
END
chmod 755 srv/verifier
cat >alone.yaml <<END
run: {name: t, dir: $dir/alone, seed: 5}
model.path: $dir/srv/model
data: {train_files: [$dir/srv/train.jsonl], instruction: $dir/srv/instruction.txt,
       max_prompt_length: 128, max_response_length: 96, train_batch_size: 6}
rollout: {n: 4, staleness: 1}
reward: {unparsed: -0.5, exec: {command: [$dir/srv/verifier], memory_mb: 1024}}
actor: {optim.lr: 1e-3, ppo_max_token_len: 1024}
trainer: {total_training_steps: $steps, save_freq: 4}
workers: {actor_slots: 8, actor_threads: 1, learner_threads: 1}
link: {lease_s: 600}
END
say "an undisturbed run"
expect 0 timeout 200 "$plait" up alone.yaml
[ $failures -eq 0 ] || finish
sum() {
    sha256sum "$1" | cut -d ' ' -f 1
}
undisturbed=$(sum alone/model/model.safetensors)

# ---- the machine: this one's files, with changes in memory; none of its services ----

say "the machine"
mkdir "$machine"
mount -t tmpfs -o size=2g,mode=755 tmpfs "$machine" || skip "no tmpfs can be mounted here"
mkdir "$machine/upper" "$machine/work" "$machine/root"
root=$machine/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$machine/upper,workdir=$machine/work" "$root" ||
    skip "no overlay can be mounted here"
rm -rf "$root"/etc/systemd/system/*.wants "$root"/etc/systemd/system/plait* "$root/etc/plait" \
    "$root/var/lib/plait" "$root/srv/plait" "$root"/var/lib/redis/* "$root"/var/log/journal \
    "$root/etc/systemd/system/redis-server.service.d"
expect 0 env DESTDIR="$root" meson install -C "$build" --no-rebuild --quiet
share=/usr/local/share/plait
mkdir -p "$root/etc/plait" "$root/srv"
cp -r srv "$root/srv/plait"
touch "$root/srv/plait/slow" # so that the run is not over before all has happened
sed -e '/^link:/,$d' -e "s,^run:.*,run: {name: t\, dir: /var/lib/plait/demo\, seed: 5}," alone.yaml |
    sed "s,$dir/srv,/srv/plait,g" >"$root/etc/plait/run.yaml"
sed -n '/^link:/,/^workers:/p' "$root$share/systemd/run.yaml" | sed -e '/^workers:/d' \
    -e 's/^link:/link:\n  lease_s: 600/' >>"$root/etc/plait/run.yaml"
# Waits are shorter than a user's, so that the test is.
mkdir -p "$root/etc/systemd/system/plait-.service.d"
printf '[Service]\nWatchdogSec=10\nTimeoutAbortSec=2\nRestartSec=1\n' \
    >"$root/etc/systemd/system/plait-.service.d/test.conf"
# The same arithmetic as outside: kernels of the BLAS are another matter.
env | grep '^OPENBLAS_' >"$root/etc/plait/plait.env"
# Actor 2 has its weights from a relay.
cat >"$root/etc/plait/plait-relay.env" <<'END'
PLAIT_RELAY_ANNOUNCE=tcp://127.0.0.1:7721
PLAIT_RELAY_SERVE=tcp://127.0.0.1:7722
END
cat >"$root/etc/plait/plait-actor-2.env" <<'END'
PLAIT_LINK_ANNOUNCE=tcp://127.0.0.1:7721
PLAIT_LINK_SERVE=tcp://127.0.0.1:7722
PLAIT_LINK_PEER=relay
END

systemd-nspawn --quiet --register=no --keep-unit --private-network --console=pipe -D "$root" -b \
    </dev/null >boot.log 2>&1 &
nspawn=$!
deadline=$(($(date +%s) + limit_s))
in_time() {
    [ "$(date +%s)" -lt $deadline ] && kill -0 "$nspawn" 2>/dev/null
}
inside() {
    nsenter -t "$leader" -m -u -i -n -p -- env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin \
        LC_ALL=C SYSTEMD_PAGER= "$@"
}
# until_true WHAT COMMAND...
until_true() {
    what=$1 said=$1
    shift
    while in_time; do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.1
    done
    wrong "not within $limit_s s"
    tell_why
    return 1
}
tell_why() {
    inside systemctl --no-pager status 'plait*' redis-server 2>&1 | tail -n 60
    inside journalctl --no-pager -q -n 120 -u 'plait*' -u redis-server 2>&1 | cut -c 1-240
    tail -n 20 boot.log
}
found_leader() {
    leader=$(pgrep -P "$nspawn" | head -n 1)
    [ -n "$leader" ] && inside systemctl is-system-running 2>/dev/null | grep -q -e running -e degraded
}
until_true 'it boots' found_leader || finish
say "booted"

# ---- the run ----

state() { # UNIT PROPERTY
    inside systemctl show -P "$2" "$1"
}
is_state() { # UNIT PROPERTY VALUE
    [ "$(state "$1" "$2")" = "$3" ]
}
journal() { # UNIT
    inside journalctl --no-pager -q -o cat -u "$1"
}
said_by() { # UNIT TEXT
    journal "$1" | grep -q -- "$2"
}
metrics=$root/var/lib/plait/demo/metrics.jsonl
came_to() { # STEP
    grep -qs "\"training/global_step\": $1,.*pg_loss" "$metrics"
}

# As README.md of deploy/systemd has it.
run() {
    expect 0 inside "$@"
    [ $failures -eq 0 ] || {
        tell_why
        finish
    }
}
redis=/etc/plait/redis
run systemd-sysusers
run plait redis acl $redis
run plait redis certs $redis 127.0.0.1
run install -m 644 $share/redis/redis.conf $redis
run chgrp redis $redis/users.acl $redis/redis.key
run chmod 640 $redis/users.acl $redis/redis.key
run install -D -m 644 $share/systemd/redis-server.conf \
    /etc/systemd/system/redis-server.service.d/plait.conf
run install -D -m 644 $share/systemd/redis-access.conf \
    /etc/systemd/system/plait-.service.d/redis-access.conf
run plait keygen /etc/plait/keys
run install -D -m 644 $share/systemd/keys.conf /etc/systemd/system/plait-.service.d/keys.conf
run systemctl daemon-reload
run systemctl restart redis-server
run plait redis init /etc/plait/run.yaml
run systemctl enable --now plait.target plait-learner plait-rewarder@1 plait-relay@1 \
    plait-actor@1 plait-actor@2
for unit in plait-learner plait-rewarder@1 plait-relay@1 plait-actor@1 plait-actor@2 plait.target; do
    ok "$unit is active" is_state $unit ActiveState active
done
say "all are ready"
until_true 'the run begins' came_to 3 || finish
ok 'a sentence of what the learner does' sh -c \
    "echo '$(state plait-learner StatusText)' | grep -q 'step [0-9]* of $steps, .* rollouts/s'"
ok 'nobody is root' test "$(state plait-learner User)" = plait
ok 'actors are no standing user' test "$(state plait-actor@1 DynamicUser)" = yes
ok "an actor has an actor's secrets alone" test "$(inside ls /run/credentials/plait-actor@1.service |
    tr '\n' ' ')" = 'actor.key actor.password allow client.key learner.pub relay.pub '
expect 0 inside plait status /etc/plait/run.yaml
has out 'step '

# What it is to go on from must be there: steps are faster than the other words of this test, or slower.
until_true 'there is a checkpoint' test -s "$root/var/lib/plait/demo/checkpoints/latest" || finish
say "the learner is killed"
expect 0 inside systemctl kill -s KILL --kill-whom=main plait-learner
until_true 'it is started again' is_state plait-learner NRestarts 1
until_true 'and goes on from its checkpoint' said_by plait-learner 'begin step=[1-9]'

say "one actor more, then one alone"
expect 0 inside systemctl enable --now plait-actor@3
until_true 'three actors take part' said_by plait-actor@3 event=installed
for n in 2 3; do
    expect 0 inside systemctl stop plait-actor@$n
    ok "actor $n stopped well" is_state plait-actor@$n Result success
done
step=$(grep -c pg_loss "$metrics")
until_true 'one goes on alone' came_to $((step + 4))
ok 'actor 3 says that it stops' said_by plait-actor@3 'stop role=actor name=actor-3 signal=15'

say "one hangs"
expect 0 inside systemctl start plait-actor@2
until_true 'actor 2 takes part again' said_by plait-actor@2 'groups'
expect 0 inside systemctl kill -s STOP --kill-whom=main plait-actor@2
until_true 'the watchdog sees it' said_by plait-actor@2 'Watchdog timeout'
until_true 'it is started again' is_state plait-actor@2 NRestarts 1
until_true 'and is active' is_state plait-actor@2 ActiveState active
ok 'the others are not killed' is_state plait-actor@1 NRestarts 0

say "an actor is stopped while it holds groups that it cannot begin"
expect 0 inside systemctl stop plait-actor@1 plait-actor@2
groups_wait() {
    inside plait status /etc/plait/run.yaml --json | grep -q '"prompts_waiting": 12,'
}
until_true 'two batches wait for an actor' groups_wait
expect 0 inside systemctl kill -s STOP --kill-whom=main plait-learner # nobody has their weights
since=$(date +%H:%M:%S)
expect 0 inside systemctl start plait-actor@1
journal_since() {
    inside journalctl --no-pager -q -o cat -u plait-actor@1 --since "$since" | grep -q -- "$1"
}
until_true 'it has leased' journal_since 'leased group='
expect 0 inside systemctl stop plait-actor@1
ok 'it gave them back' journal_since 'leases event=returned'
expect 0 inside systemctl kill -s CONT --kill-whom=main plait-learner
expect 0 inside systemctl start plait-actor@1 plait-actor@2

rm "$root/srv/plait/slow"
until_true 'the run ends' is_state plait-learner ActiveState inactive
say "the run is over"
ok 'its learner has succeeded' is_state plait-learner Result success
ok 'the others are ready for more' is_state plait-actor@1 ActiveState active
ok 'the rewarder never failed' is_state plait-rewarder@1 NRestarts 0
ok 'its steps taught something' grep -q '"critic/score/mean": -0\.[1-9]' "$metrics"
ok 'each step once' test "$(grep -c pg_loss "$metrics")" -eq $steps
ok 'the same weights as those of the undisturbed run' test \
    "$(sum "$root/var/lib/plait/demo/model/model.safetensors")" = "$undisturbed"
[ $failures -eq 0 ] || {
    tell_why
    for at in alone "$root/var/lib/plait/demo"; do
        grep -h -o -e '"training/global_step": [0-9]*,' -e '"critic/score/mean": [^,]*,' -e '"actor/grad_norm": [^,]*,' "$at/metrics.jsonl" >"figures-$(basename "$at")"
    done
    sha256sum alone/model/* "$root"/var/lib/plait/demo/model/*
    echo 'the first step that differs:'
    diff figures-alone figures-demo | head -n 4
}

expect 0 inside systemctl stop plait.target
for unit in plait-rewarder@1 plait-relay@1 plait-actor@1 plait-actor@2; do
    until_true "$unit goes with the target" is_state $unit ActiveState inactive
    ok "$unit stopped well" is_state $unit Result success
done

say "a configuration that is wrong is not tried again"
echo PLAIT_ROLLOUT_N=none >"$root/etc/plait/plait-rewarder-1.env"
expect 1 inside systemctl start plait-rewarder@1
ok 'it has failed, and waits for no other start' is_state plait-rewarder@1 ActiveState failed
ok 'by status 2' is_state plait-rewarder@1 ExecMainStatus 2
ok 'it was started once' is_state plait-rewarder@1 NRestarts 0
ok 'it said what is wrong' said_by plait-rewarder@1 "PLAIT_ROLLOUT_N needs a whole number"
inside systemctl poweroff >/dev/null 2>&1
[ $failures -eq 0 ] || tell_why
say "down"
finish
