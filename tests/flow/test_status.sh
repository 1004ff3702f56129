#!/bin/sh
# `plait status` from outside, where no Redis is: what a folder shows, what is no run, JSON.
# Usage: test_status.sh PLAIT JSON
set -u
plait=$(readlink -f "$1")
json=$(readlink -f "$2")
. "$(dirname "$(readlink -f "$0")")/check.sh"

status_of() {
    want=$1
    shift
    expect "$want" "$plait" status "$@"
}

# at PATH TEXT: what stands there in ./out
at() {
    checks=$((checks + 1))
    found=$("$json" "$1" <out)
    [ "$found" = "$2" ] || wrong "$1 is $found, not $2"
}

mkdir -p runs/demo
cat >runs/demo/config.yaml <<'END'
run: {name: demo, dir: somewhere/else}
model.path: model
data.train_files: [tasks.jsonl]
trainer.total_training_steps: 40
END
status_of 0 runs/demo
silent err
has out 'demo: not at work, step 0 of 40'
has out "redis.sock': No such file or directory"
has out 'waited for: Not known: Redis does not answer'
cat >runs/demo/metrics.jsonl <<'END'
{"training/global_step": 0, "val-core/acc": 0.25, "interleave/format_ok": 0.5}
{"training/global_step": 1, "critic/score/mean": 1.5, "interleave/accuracy": 0.5, "timing_s/step": 2, "timing_s/wait": 1, "perf/total_num_tokens": 100}
END
status_of 0 runs/demo/ --color never
has out 'demo: not at work, step 1 of 40, 2.00s a step'
has out 'last step   reward 1.50  accuracy 0.500'
has out 'evaluation  after step 0  accuracy 0.250  format 0.500'
lacks out nan
lacks out ttfa
ok 'it changed nothing' test "$(echo runs/demo/*)" = 'runs/demo/config.yaml runs/demo/metrics.jsonl'
status_of 0 runs/demo --json
silent err
at run demo
at dir runs/demo
at state 'not at work'
at step 1
at steps 40
at eta_s null
at moving false
at needs_help false
at recent.wait_s 1.0
at evaluations '[{"step":0,"accuracy":0.25,"format_rate":0.5,"ttfa":null}]'
at last_step.critic/score/mean 1.5
at bottleneck.who unknown
ok 'the error of Redis' sh -c "'$json' redis.error <out | grep -q redis.sock"

# By a configuration and what was given over it; a password in an address is refused, and not shown.
status_of 0 runs/demo/config.yaml run.dir=runs/demo link.redis=redis://127.0.0.1:1
has out 'step 1 of 40'
has out "Redis at 'redis://127.0.0.1:1': Connection refused"
status_of 2 runs/demo/config.yaml run.dir=runs/demo link.redis=redis://user:secret@127.0.0.1:1
has err "name the user by 'redis.user' and by 'redis.password_file' a file"
lacks err secret
silent out
# Nor does any other command take, show or write it, from wherever it comes.
for words in 'up CONFIG --dry-run ADDRESS' 'up CONFIG ADDRESS' 'doctor CONFIG ADDRESS' 'plan CONFIG ADDRESS' \
    'dead ls CONFIG --set=ADDRESS' 'redis init CONFIG ADDRESS'; do
    for address in 'link.redis=rediss://bob:hunter2@queue:6380/1' 'link.redis=redis://hunter2@queue' \
        'link.announce=tcp://bob:hunter2@queue:5' 'redis://bob:hunter2@queue' 'link.lease_s=redis://:hunter2@q'; do
        # shellcheck disable=SC2046 # words
        expect 2 "$plait" $(echo "$words" | sed "s,CONFIG,runs/demo/config.yaml,; s,ADDRESS,$address,")
        has err 'stands in an address (not shown here)'
        cat out err >said
        lacks said hunter2
    done
done
for variable in PLAIT_LINK_REDIS PLAIT_LINK_SERVE; do
    expect 2 env "$variable=redis://bob:hunter2@queue" "$plait" up runs/demo/config.yaml
    cat out err >said
    has said "$variable: a user or a password stands in an address"
    lacks said hunter2
done
{ cat runs/demo/config.yaml && echo 'link.redis: "redis://bob:hunter2@queue"'; } >secret.yaml
expect 2 "$plait" up secret.yaml
cat out err >said
lacks said hunter2
ok 'it is written nowhere' sh -c '! grep -rl hunter2 . | grep -v secret.yaml'
: >runs/demo/model
mkdir -p runs/done/model && cp runs/demo/config.yaml runs/done && : >runs/done/model/config.json
sed 's/"training\/global_step": 1/"training\/global_step": 40/' runs/demo/metrics.jsonl \
    >runs/done/metrics.jsonl
status_of 0 runs/done
has out 'demo: finished, step 40 of 40'
has out 'waited for: Nobody: the run is finished.'

# What is no run.
status_of 2
has err RUN
status_of 2 runs
has err "'runs' is not the folder of a run: it has no config.yaml"
one_sentence
status_of 2 runs/demo/config.yaml
has err "there is no run in 'somewhere/else' yet"
one_sentence
status_of 2 nowhere
has err nowhere
one_sentence
status_of 2 runs/demo run.nam=x
has err "did you mean 'run.name'?"
one_sentence
status_of 2 runs/demo link.redis=nonsense
has err "'nonsense' is no address of Redis"
one_sentence
silent out
finish
