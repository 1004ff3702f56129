#!/bin/sh
# Exit statuses of the daemons, which service managers go by: 2 where settings or the files that they
# name are wrong, so that starting them again does not help.
# Usage: test_exit.sh ACTOR LEARNER REWARDER RELAY
set -u
actor=$(readlink -f "$1")
learner=$(readlink -f "$2")
rewarder=$(readlink -f "$3")
relay=$(readlink -f "$4")
. "$(dirname "$(readlink -f "$0")")/check.sh"

cat >run.yaml <<END
run: {name: t, dir: $dir/run}
model.path: nowhere
data.train_files: [tasks.jsonl]
link.redis: unix://$dir/nobody.sock
END
printf 'model.path: m\ndata.train_files: [t]\n' >nameless.yaml
printf 'run: {name: t, dir: [\n' >broken.yaml

for program in "$actor" "$learner" "$rewarder" "$relay"; do
    expect 2 "$program"
    expect 2 "$program" run.yaml --frobnicate
    expect 2 "$program" run.yaml rollout.nn=3
    has err "did you mean 'rollout.n'?"
    one_sentence
    expect 2 "$program" run.yaml rollout.n=many
    has err "'rollout.n'"
    expect 2 "$program" nowhere.yaml
    has err nowhere.yaml
    one_sentence
    expect 2 "$program" nameless.yaml
    has err run.dir
    expect 2 "$program" broken.yaml
    has err broken.yaml
    expect 2 "$program" run.yaml http.listen=here
    has err 'http.listen'
done
# What they read before they are ready.
for program in "$actor" "$learner" "$rewarder"; do
    expect 2 timeout 20 "$program" run.yaml
    has err nowhere
done
mkdir strange
: >strange/file
expect 2 timeout 20 "$learner" run.yaml run.dir=strange
has err "'strange' is not the folder of a run"
finish
