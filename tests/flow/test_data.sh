#!/bin/sh
# Made-up tasks and worked answers from the command line. Usage: test_data.sh PLAIT
set -u
plait=$(readlink -f "$1")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
failures=0
checks=0

# run STATUS WORD...: run plait data, keep what it prints in ./out and ./err, check its exit status
run() {
    want=$1
    shift
    said="plait data $*"
    "$plait" data "$@" >out 2>err </dev/null
    status=$?
    checks=$((checks + 1))
    [ $status -eq "$want" ] || wrong "exit status $status, not $want"
}

wrong() {
    echo "WRONG: $said: $1"
    cut -c 1-200 out | sed 's/^/    out: /' | head -n 20
    cut -c 1-200 err | sed 's/^/    err: /' | head -n 20
    failures=$((failures + 1))
}

# has FILE TEXT: a line of FILE holds TEXT
has() {
    checks=$((checks + 1))
    grep -qF -- "$2" "$1" || wrong "$1 should hold: $2"
}

# silent FILE
silent() {
    checks=$((checks + 1))
    [ ! -s "$1" ] || wrong "nothing should be on std$1"
}

# is WHAT GOT WANT
is() {
    checks=$((checks + 1))
    [ "$2" = "$3" ] || wrong "$1 should be '$3', not '$2'"
}

# refused TEXT WORD...: wrong command line, one sentence, nothing written
refused() {
    text=$1
    shift
    run 2 "$@"
    has err "$text"
    is "lines of error" "$(grep -cv "^Try 'plait" err)" 1
    silent out
}

lines() {
    wc -l <"$1" | tr -d ' '
}

# Help and wrong words.
run 0 --help
has out "Usage: plait data COMMAND"
silent err
run 0 generate --help
has out "Usage: plait data generate"
refused "a command is missing"
refused "unknown command 'genrate'; did you mean 'generate'?" genrate
refused "unknown option '--people'." --people 3
refused "unknown kind of data 'gsm8k'; plait knows 'kk', 'hops' and 'arith'" generate gsm8k --count 3
refused "how many puzzles? Give --count, or --train and --test" generate kk
refused "give one or the other" generate kk --count 3 --test 3 --output x
refused "--train and --test need a folder to write to: --output FOLDER" generate kk --train 3
refused "--people needs numbers from 2 to 8, not '9'" generate kk --count 3 --people 3,9
refused "--people needs numbers from 2 to 8, not '1'" generate kk --count 3 --people 1
refused "--people needs numbers from 2 to 8, not '03'" generate kk --count 3 --people 03
refused "--people needs numbers from 2 to 8, not '3x'" generate kk --count 3 --people 3x
refused "--people names 3 twice" generate kk --count 3 --people 3,4,3
refused "--names is 4, too few for puzzles of 5 people" generate kk --count 3 --people 5 --names 4
refused "option '--names' needs a number from 2 to 48 for kk, not '49'" generate kk --count 3 --names 49
refused "--names is 10, too few for questions of 2 hops, which may need 11" \
    generate hops --count 3 --names 10
refused "--hops does not go with kk, which takes --people" generate kk --count 3 --hops 2
refused "--people does not go with arith, which takes --ops" generate arith --count 3 --people 2
refused "--distractors does not go with arith" generate arith --count 3 --distractors 2
refused "--names does not go with arith" generate arith --count 3 --names 20
refused "--hops needs numbers from 2 to 6, not '7'" generate hops --count 3 --hops 7
refused "--ops needs numbers from 2 to 8, not '1'" generate arith --count 3 --ops 1
refused "option '--distractors' needs a number from 0 to 24 for hops, not '25'" \
    generate hops --count 3 --distractors 25
refused "option '--distractors' needs a number from 0 to 24 for hops, not 'x'" \
    generate hops --count 3 --distractors x
refused "how many questions? Give --count, or --train and --test" generate hops
refused "--answers knows no template 'interleaved'; did you mean 'interleave'?" \
    generate kk --count 3 --answers interleaved
refused "--answers names 'cot' twice" generate kk --count 3 --answers cot,direct,cot
refused "option '--careful-share' needs" generate kk --count 3 --careful-share 2
refused "--output is empty" generate kk --count 3 --output=

# What cannot be done: one sentence, status 1, no half a file.
run 1 generate kk --count 3 --output no/such/folder
has err "plait data generate: open 'no/such/folder.tmp' for writing: No such file or directory"
mkfifo pipe # stands for devices: no file may take their place
run 1 generate kk --count 3 --output pipe
has err "'pipe' is there already and is not a regular file"
[ -p pipe ] || wrong "the pipe is gone"
run 1 generate kk --count 3 --answers direct --templates nowhere
has err "open 'nowhere/direct.txt': No such file or directory"
run 1 generate kk --people 2 --names 2 --count 100000 --output many
has err "no new puzzle of 2 people was found after the first"
is "files left" "$(echo many*)" 'many*'

# Tasks: the same options give the same bytes, on standard output or in a file.
run 0 generate kk --people 2,3 --count 40 --seed 7
cp out tasks
has err "shapes of puzzle"
is lines "$(lines tasks)" 40
is "tasks with 3 people" "$(grep -c '"people": 3' tasks)" 20
has tasks '"verifier": "kk"'
has tasks '"ordered": false'
run 0 generate kk --people 2,3 --count 40 --seed 7 --output tasks.jsonl
cmp -s tasks tasks.jsonl || wrong "standard output and a file differ"
has out "shapes of puzzle"
silent err
run 0 generate kk --people 2,3 --count 41 --seed 7
head -n 40 out | cmp -s - tasks || wrong "one more puzzle changed the others"
run 0 generate kk --people 2,3 --count 40 --seed 8
cmp -s out tasks && wrong "another seed gave the same puzzles"
is "different ids" "$(sed 's/", "source.*//' tasks | sort -u | wc -l | tr -d ' ')" 40

# Parts: no puzzle and no shape in both.
for split in shape puzzle; do
    run 0 generate kk --people 2,4 --train 120 --test 30 --seed 3 --split $split --output parts \
        --wording plain --answers think-answer --json
    has out '"train": 120'
    has out '"test": 30'
    is train "$(lines parts/train.jsonl)" 120
    is "capitals in plain wording" "$(tail -n 1 parts/train-answers.jsonl | tr -dc A-Z)" ""
    is test "$(lines parts/test.jsonl)" 30
    is answers "$(lines parts/train-answers.jsonl)" 120
    is answers "$(lines parts/test-answers.jsonl)" 30
    for part in train test; do
        sed 's/.*"names": \(.*\), "solution".*"statements": \("[^"]*"\).*/\1 \2/' \
            parts/$part.jsonl | sort >$part.puzzles
        sed 's/.*"shape": "\([0-9a-f]*\)".*/\1/' parts/$part.jsonl | sort -u >$part.shapes
        is "puzzles twice" "$(uniq -d $part.puzzles)" ""
    done
    is "puzzles in both" "$(comm -12 train.puzzles test.puzzles)" ""
    [ $split = puzzle ] || is "shapes in both" "$(comm -12 train.shapes test.shapes)" ""
done

# The other families: the same promises.
for family in hops arith; do
    run 0 generate $family --train 90 --test 30 --seed 3 --wording plain --answers interleave,cot \
        --output $family --json
    has out '"train": 90'
    is train "$(lines $family/train.jsonl)" 90
    is test "$(lines $family/test.jsonl)" 30
    is answers "$(lines $family/train-answers.jsonl)" 180
    is "sizes in turn" "$(grep -c '"level": 3' $family/test.jsonl)" 10
    is "ordered" "$(grep -c '"ordered": true' $family/test.jsonl)" 30
    is "answers behind control tokens" "$(grep -c '^{"prompt": "<|cot|> ' $family/test-answers.jsonl)" 30
    for part in train test; do
        sed 's/.*"shape": "\([0-9a-f]*\)".*/\1/' $family/$part.jsonl | sort -u >$part.shapes
    done
    is "shapes in both" "$(comm -12 train.shapes test.shapes)" ""
    is "ids" "$(cat $family/*n.jsonl $family/test.jsonl | sed 's/", "source.*//' | sort -u | wc -l | tr -d ' ')" 120
    cp -r $family before
    run 0 generate $family --train 90 --test 30 --seed 3 --wording plain --answers interleave,cot \
        --output $family
    diff -r before $family >/dev/null || wrong "the same options gave other bytes"
    rm -r before
done
has hops/test.jsonl '"verifier": "em"'
has arith/test.jsonl '"verifier": "number"'
run 0 generate hops --hops 2 --distractors 0 --names 3 --count 30 --wording plain
is "facts" "$(sed 's/.*"question": "//; s/", "answer.*//' out | tr -dc . | wc -c | tr -d ' ')" 60

# Answers: a row for each template, the control token in front, the shares asked for.
templates=interleave,think-answer,delayed,direct,cot
run 0 generate kk --people 2 --count 400 --wording plain --answers $templates \
    --careful-share 0.35 --output answers.jsonl --json
is rows "$(lines answers.jsonl)" 2000
for template in $(echo $templates | tr , ' '); do
    is "prompts of $template" "$(grep -cF "{\"prompt\": \"<|$template|> " answers.jsonl)" 400
    careful=$(tr -d '\n ' <out | sed "s/.*\"$template\":{\"count\":400,\"careful\":\([0-9]*\).*/\1/")
    checks=$((checks + 1))
    if [ "$careful" -le 110 ] || [ "$careful" -ge 170 ]; then
        wrong "$careful of 400 are careful"
    fi
done
cp answers.jsonl before
run 0 generate kk --people 2 --count 400 --wording plain --answers $templates \
    --careful-share 0.35 --output answers.jsonl
cmp -s before answers.jsonl || wrong "the same options gave other answers"
run 0 generate kk --people 3 --count 1 --answers interleave
has out '{"messages": [{"role": "system", "content": "You think in steps'
has out '"}, {"role": "user", "content": "On an island'
has out '"}, {"role": "assistant", "content": "<think>'
mkdir own
printf ' \n Tell me.\n\n' >own/direct.txt
run 0 generate kk --people 3 --count 1 --answers direct --templates own
has out '"content": "Tell me."}, {"role": "user", "content": "On an island'
printf ' \n' >own/direct.txt
run 1 generate kk --people 3 --count 1 --answers direct --templates own
has err "expected text, found nothing but white space"

echo "$checks checks, $failures failed"
[ "$failures" -eq 0 ]
