#!/bin/sh
# What is installed is whole: deploy/quickstart, with a model of seconds, on an installed plait.
# Usage: test_quickstart.sh SOURCE BUILD
set -u
quickstart=$1/deploy/quickstart
build=$2
. "$(dirname "$(readlink -f "$0")")/check.sh"

expect 0 "$quickstart" --help
has out 'Usage: deploy/quickstart'
expect 2 "$quickstart" --tyni
has err "quickstart: unknown option '--tyni'"
expect 2 "$quickstart" --dir
has err "option '--dir' needs a value"
expect 1 "$quickstart" --plait nowhere/plait --dir 'a folder'
has err "there is no 'nowhere/plait'"

DESTDIR=$dir/root meson install -C "$build" --no-rebuild --quiet >log 2>&1 || cat log
plait=$(find "$dir/root" -name plait -type f)
ok 'plait is installed' test -x "$plait"

# Recipes and scales are with it.
expect 0 "$plait" reproduce --list
has out 'training interleave-ir, seed 42'
recipe=$(find "$dir/root" -path '*/plait/recipes/qwen2.5-1.5b/interleave-ir-grpo.yaml')
expect 0 "$plait" up "$recipe" run.dir=none model.path=m 'data.train_files=[a, b]' --dry-run
has out 'algorithm.adv_estimator: grpo'
has out 'data.train_files: [a, b]'
has out 'data.max_prompt_length: 3096'

# With what is left of one that was stopped.
mkdir 'a folder'
printf 'junk' >'a folder/results.tmp'
mkdir 'a folder/puzzles.tmp'
expect 0 "$quickstart" --tiny --plait "$plait" --dir 'a folder'
for line in '210 puzzles of 2 and 3 people' 'tokens from ' "made 'base'" '30 steps, ' ' says ' 'Done in '; do
    has out "$line"
done
has err "done: the model is in 'think-answer/model'"
has err "done: the model is in 'interleave/model'"
lacks out 'there already'
for model in warm-start think-answer interleave; do
    ok "a model of $model" "$plait" model info "a folder/$model/model"
done
ok 'both runs have their form' grep -q '"method": "interleave"' 'a folder/interleave-after.json'
ok 'both runs have their form' grep -q '"method": "think-answer"' 'a folder/think-answer-after.json'
for left in puzzles.tmp results.tmp interleave-after.tmp; do
    ok "$left should be gone" test ! -e "a folder/$left"
done
# The form is asked for by its control token.
ok 'prompts have it' grep -q '"prompt": *"<|interleave|>' 'a folder/interleave/rollouts/1.jsonl'

# Once more: nothing is made again.
touch mark
sleep 0.1
expect 0 "$quickstart" --tiny --plait "$plait" --dir 'a folder'
for line in puzzles tokenizer/prompt_template.txt base warm-start/model think-answer/model \
    interleave/model interleave-after.json; do
    has out "is there already: $line"
done
find 'a folder/base' 'a folder/warm-start' 'a folder/tokenizer' 'a folder/puzzles' \
    'a folder/interleave' -newer mark >newer
silent newer

# The table says what the figures say.
sed -e 's/"pass_at_1": [0-9.]*/"pass_at_1": 0.625/' -e 's/"ttfa": null/"ttfa": 0.25/' \
    'a folder/interleave-after.json' >told
cp told 'a folder/interleave-after.json'
expect 0 "$quickstart" --tiny --plait "$plait" --dir 'a folder'
ok 'Pass@1' grep -q '^interleave after *0.62 (.*) *0.62 (.*) *0.62 (.*) *0.25' out
ok 'results.json has them' grep -q '"pass_at_1": 0.625' 'a folder/results.json'

finish
