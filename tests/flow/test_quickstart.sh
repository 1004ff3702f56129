#!/bin/sh
# What is installed is whole: deploy/quickstart, with a model of seconds, on an installed plait.
# Usage: test_quickstart.sh SOURCE BUILD
set -u
quickstart=$1/deploy/quickstart
build=$2
. "$(dirname "$(readlink -f "$0")")/check.sh"

expect 0 "$quickstart" --help
has out 'Usage: deploy/quickstart'
expect 2 "$quickstart" --minuets 3
has err "quickstart: unknown option '--minuets'"
for minutes in 0 0.0 -1 four 1e3 ''; do
    expect 2 "$quickstart" --minutes "$minutes"
    has err "needs a number above 0, not '$minutes'"
done
expect 2 "$quickstart" --dir
has err "option '--dir' needs a value"
expect 1 "$quickstart" --plait nowhere/plait --dir 'a folder'
has err "there is no 'nowhere/plait'"

DESTDIR=$dir/root meson install -C "$build" --no-rebuild --quiet >log 2>&1 || cat log
plait=$(find "$dir/root" -name plait -type f)
ok 'plait is installed' test -x "$plait"

# As far as the tokenizer, as if it had been stopped there; then to the end.
mkdir 'a folder'
printf 'junk' >'a folder/train.tmp'
mkdir 'a folder/puzzles.tmp' 'a folder/try'
expect 0 "$quickstart" --tiny --plait "$plait" --dir 'a folder'
for line in '150 puzzles of 2 people, and 4 others to ask' '50 puzzles of 3 people, and 4 others' \
    'tokens from ' "made 'base'" ' steps, ' 'says ' ' of 4 unseen puzzles of 2 people right' \
    ' of 4 unseen puzzles of 3 people right' 'Done in '; do
    has out "$line"
done
has err 'tok/s, '
lacks out 'there already'
ok 'a model' "$plait" model info 'a folder/run/model'
ok 'puzzles are cut from their control token' grep -q '^{"prompt": "[a-z]' 'a folder/train.jsonl'
ok 'two hundred of them' test "$(wc -l <'a folder/train.jsonl')" -eq 200
for left in train.tmp puzzles.tmp try steps.tmp; do
    ok "$left should be gone" test ! -e "a folder/$left"
done

# Once more: nothing is made again.
touch mark
sleep 0.1
expect 0 "$quickstart" --tiny --plait "$plait" --dir 'a folder'
for line in 'train.jsonl test.jsonl' tokenizer/prompt_template.txt base run/model; do
    has out "is there already: $line"
done
has out ' of 4 unseen puzzles of 3 people right'
find 'a folder/base' 'a folder/run' 'a folder/tokenizer' 'a folder/train.jsonl' -newer mark >newer
silent newer

# The figure counts what is right: with answers that are, it is all of them.
mkdir -p told/run
cp -r 'a folder/base' 'a folder/tokenizer' 'a folder'/*.jsonl told
mkdir told/run/model
cat >told/plait <<'END'
#!/bin/sh
# says of each puzzle what stands in answers.txt; of the first, in the wrong words
[ "$1" = chat ] || exit 1
case $* in *--fresh*) ;; *) exit 0 ;; esac
n=0
while read -r prompt; do
    n=$((n + 1))
    answer=$(grep -hF "\"$prompt\"" test-?.jsonl | sed 's/.*<answer>\(.*\)<\/answer>"}/\1/')
    [ $n -gt 1 ] || answer="not $answer"
    echo "{\"segments\": [{\"part\": \"answer\", \"text\": \"guess\"}, {\"part\": \"answer\", \"text\": \"$answer\"}], \"finish\": \"stop\"}"
done
END
chmod +x told/plait
expect 0 "$quickstart" --tiny --plait told/plait --dir told
has out '3 of 4 unseen puzzles of 2 people right'
has out '3 of 4 unseen puzzles of 3 people right'

finish
