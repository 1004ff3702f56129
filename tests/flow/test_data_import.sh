#!/bin/sh
# Published rows as tasks, from the command line. Usage: test_data_import.sh PLAIT JSON
# Real rows are taken from PLAIT_TEST_DATA; without them that part is skipped, and says so.
set -u
plait=$(readlink -f "$1")
json=$(readlink -f "$2")
data=${PLAIT_TEST_DATA:-}
[ -z "$data" ] || data=$(readlink -f "$data" || echo "$data")
. "$(dirname "$(readlink -f "$0")")/check.sh"

# import STATUS WORD...
import() {
    want=$1
    shift
    expect "$want" "$plait" data import "$@"
}

# refused TEXT WORD...: wrong command line, one sentence, nothing written
refused() {
    text=$1
    shift
    import 2 "$@"
    has err "$text"
    one_sentence
    silent out
}

# bad TEXT WORD...: one sentence about a file, nothing written
bad() {
    text=$1
    shift
    import 1 "$@" --output tasks.bad
    has err "$text"
    one_sentence
    silent out
    ok "no file of half the tasks should be there" test ! -e tasks.bad -a ! -e tasks.bad.tmp
}

# same TEXT WANT
same() {
    checks=$((checks + 1))
    [ "$1" = "$2" ] || wrong "expected '$2', got '$1'"
}

lines() {
    wc -l <"$1" | tr -d ' '
}

# field PATH: of the summary in ./out
field() {
    "$json" "$1" <out
}

# Wrong words.
import 0 --help
has out "Usage: plait data import"
for kind in kk musique gsm8k math mmlu mmlu-redux gpqa verl chat; do
    has out "$kind"
done
printf '%s\n' '{"question": "1 + 1?", "answer": "so\n#### 2"}' >one.jsonl
refused "argument FILE is given 0 times" gsm8k
refused "unknown kind of data 'gsm8'; did you mean 'gsm8k'?" gsm8 one.jsonl
refused "unknown kind of data 'squad'; 'plait help data import' lists them" squad one.jsonl
refused "--answers is of no use for rows of the kind mmlu" mmlu one.jsonl --answers cot
refused "--careful-share is of no use" gsm8k one.jsonl --answers cot --careful-share 0.5
refused "--verifier is of no use for rows of the kind gsm8k" gsm8k one.jsonl --verifier em
refused "--keep-system is of no use" kk one.jsonl --keep-system
refused "--shuffle is of no use" gpqa one.jsonl --shuffle
refused "--drop-over-budget is of no use" gsm8k one.jsonl --drop-over-budget
refused "--split component is of no use" gsm8k one.jsonl --train 1 --split component --output x
refused "--split component is for --train and --test" musique one.jsonl --split component
refused "--per-level is for --train and --test, or --count" gsm8k one.jsonl --per-level
refused "give one or the other" gsm8k one.jsonl --count 1 --test 1 --output x
refused "--train and --test need a folder to write to" gsm8k one.jsonl --train 1
refused "--output is empty" gsm8k one.jsonl --output=
refused "--verifier: there is no verifier 'exact'" verl one.jsonl --verifier exact
refused "--answers knows no template 'cott'; did you mean 'cot'?" kk one.jsonl --answers cott

# Bad files and rows.
: >empty.jsonl
bad "'empty.jsonl' has no rows" gsm8k empty.jsonl
printf '\n\r\n  \n' >blank.jsonl
bad "'blank.jsonl' has no rows" gsm8k one.jsonl blank.jsonl
bad "open 'none.jsonl': No such file or directory" gsm8k none.jsonl
bad "'.' is not a regular file" gsm8k .
head -c 2000000 /dev/zero | tr '\0' 'x' >large.jsonl
bad "large.jsonl:1: the line has 2000000 bytes, more than the 1048576 expected" gsm8k large.jsonl
printf '\n{"question": "x"\n' >cut.jsonl
bad "cut.jsonl:2: line 1, column" gsm8k cut.jsonl
printf '"x"\n' >word.jsonl
bad "word.jsonl:1: line 1, column" gsm8k word.jsonl
bad "'no-such-folder': there is no tokenizer.json" gsm8k one.jsonl --tokenizer no-such-folder
printf '{"question": "x", "answer": 7}\n' >number.jsonl
bad "number.jsonl:1: 'answer' is an integer; expected a string" gsm8k one.jsonl number.jsonl
bad "from 1 rows: 2 tasks are asked for, there are 1" gsm8k one.jsonl --count 2
bad "none of the 1 tasks has the level '3', or any" gsm8k one.jsonl --level 3
{
    cat one.jsonl number.jsonl
    printf '{"question": "caf\351", "answer": "#### 2"}\n'
} >mixed.jsonl
import 0 gsm8k mixed.jsonl --skip-bad --output tasks --json
same "$(field bad) $(field tasks) $(field rows)" "2 1 3"
has err "2 bad rows are left out; the first: mixed.jsonl:2: 'answer' is an integer"
bad "none of the 1 rows makes a task; 1: bad (number.jsonl:1: " gsm8k number.jsonl --skip-bad

# Line ends, byte-order marks, arrays, duplicates, files of the same name.
mkdir other
printf '\357\273\277{"question": "1 + 1?", "answer": "#### 2"}\r\n\r\n{"question": " 1 +\\n1? ", "answer": "#### 3"}' >a.jsonl
import 0 gsm8k a.jsonl
same "$(lines out)" 1
has err "duplicates"
has out '"id": "gsm8k-a-1"'
printf '[{"question": "1 + 2?", "answer": "#### 3"},\n {"question": "1 + 3?", "answer": "#### 4"}]' >other/a.json
import 0 gsm8k a.jsonl other/a.json
same "$(lines out)" 3
has out '"id": "gsm8k-a-2-1"'
printf '{\n"question": "1 + 2?",\n"answer": "x"}' >object.json
bad "object.json:1: 'answer' has no '####'" gsm8k object.json
printf '[{"question": "1 + 2?", "answer": "#### 3"}, 7]' >array.json
bad "array.json:#2: a row is a JSON object, and this is none" gsm8k array.json

# Knights and Knaves.
row='{"quiz": "Zoey, Max", "names": ["Zoey", "Max"], "solution": [true, false], "statements": "'
good="${row}(('lying', 1), ('and', ('lying', 0), ('lying', 1)))\", \"index\": 5}"
printf '%s\n' "$good" >rows.v1.jsonl
import 0 kk rows.v1.jsonl
has out '{"id": "kk-rows-5", "source": "kk", "question": "Zoey, Max", "answer": "Zoey is a knight and'
same "$(lines out)" 1
import 0 kk rows.v1.jsonl --answers interleave,direct --instruction control
same "$(lines out)" 2
has out '"prompt": "<|direct|>Zoey, Max", "response": "Zoey is a knight and Max is a knave"'
import 0 kk rows.v1.jsonl --answers cot --output answers.jsonl --json
same "$(field tasks) $(field answers.cot.count)" "1 1"
printf '%s\n%s\n' "$good" "${row}(('lying', 1), ('lying', 0))\", \"index\": 6}" >rows.jsonl
bad "rows.jsonl:2: the statements have 2 solutions; expected one" kk rows.jsonl
printf '%s\n\n%s' "$good" "$good" | sed '3s/Zoey, Max"/Max, Zoey"/' >rows.jsonl # no newline at the end
bad "rows.jsonl:3: another row has the id 'kk-rows-5' already" kk rows.jsonl

# Published solutions.
import 0 gsm8k one.jsonl --answers think-answer,cot --instruction control
same "$(lines out)" 2
has out '"prompt": "<|think-answer|>1 + 1?", "response": "<think>so.</think><answer>2</answer>"'
has out '"prompt": "<|cot|>1 + 1?", "response": "so. Answer: 2."'
import 0 gsm8k one.jsonl --test 1 --answers direct --output answers --json
same "$(lines answers/test-answers.jsonl) $(lines answers/test.jsonl)" "1 1"
same "$(field answers.direct.count) $(cat answers/train*.jsonl)" "1 "
bad "none of the 1 tasks has a published solution" gsm8k a.jsonl --answers cot
bad "open 'nowhere/cot.txt'" gsm8k one.jsonl --answers cot --templates nowhere

# GPQA: rows of our own, as its authors wish theirs not to be spread.
cat >toy.csv <<'END'
Record ID,Question,Correct Answer,Incorrect Answer 1,Incorrect Answer 2,Incorrect Answer 3,High-level domain
r1,"Which of these, read aloud,
is the longest?","A ""very"" long word",word,wo,w,Toys
r2,Which is red?,a tomato,the sea,grass,snow,Toys
END
import 0 gpqa toy.csv --output gpqa.jsonl
same "$(lines gpqa.jsonl)" 2
has gpqa.jsonl '"id": "gpqa-r1"'
has gpqa.jsonl 'A \"very\" long word'
has gpqa.jsonl '"verifier": "choice"'
printf 'r3,two,fields\n' >>toy.csv
bad "toy.csv:5: 3 fields; expected 7, one a column" gpqa toy.csv
printf '"r4,' >>toy.csv
bad "toy.csv:6: a quoted field has no closing quote" gpqa toy.csv --skip-bad

if [ -z "$data" ] || [ ! -e "$data/musique/full_2hop.jsonl" ]; then
    echo "skipped: there are no published rows in PLAIT_TEST_DATA"
    finish
fi

# The real rows, and how many tasks they make.
import 0 kk "$data"/kk/*.jsonl --output kk.jsonl --json
same "$(lines kk.jsonl) $(field levels.3.train) $(field levels.8.train)" "3940 1060 160"
same "$(field rows) $(field duplicates) $(field bad)" "3940 0 0"
import 0 kk "$data/kk/people3_train.jsonl" --train 700 --test 100 --split component --output kk --json
same "$(lines kk/train.jsonl) $(lines kk/test.jsonl)" "700 100"
for part in train test; do
    sed 's/.*"shape": "\([0-9a-f]*\)".*/\1/' kk/$part.jsonl | sort -u >$part.shapes
done
same "$(comm -12 train.shapes test.shapes)" ""

import 0 gsm8k "$data"/gsm8k/*.jsonl --output gsm8k.jsonl --json
same "$(lines gsm8k.jsonl) $(field rows) $(field duplicates)" "8528 8528 0"
same "$(grep -c '"verifier": "number"' gsm8k.jsonl)" 8528
same "$(grep -c '"aliases": \["' gsm8k.jsonl)" "$(cat "$data"/gsm8k/*.jsonl | grep -c '#### [-0-9]*,')"
import 0 gsm8k "$data/gsm8k/train.jsonl" --train 900 --test 100 --output parts
same "$(lines parts/train.jsonl) $(lines parts/test.jsonl)" "900 100"
same "$(cat parts/*.jsonl | sort -u | wc -l | tr -d ' ')" 1000
cp parts/test.jsonl before
import 0 gsm8k "$data/gsm8k/train.jsonl" --train 10 --test 100 --output parts
ok "another --train gave another test part" cmp before parts/test.jsonl
import 0 gsm8k "$data/gsm8k/train.jsonl" --train 10 --test 100 --seed 1 --output parts
checks=$((checks + 1))
! cmp -s before parts/test.jsonl || wrong "another seed gave the same test part"

redux=$data/mmlu_redux/six_subjects.jsonl
import 0 mmlu-redux "$redux" --output redux.jsonl --json
same "$(lines redux.jsonl) $(field rows) $(field duplicates)" "557 600 11"
same "$(field 'left_out.several answers are right')" 11
# the options of one row are letters, so that a letter alone says nothing
has err "six_subjects.jsonl:305: its own answer, 'B', is not right by the verifier 'choice'"
import 0 mmlu-redux "$redux" --shuffle --output shuffled.jsonl --json
same "$(lines shuffled.jsonl)" 557
for letter in A B C D; do # some 140 each
    n=$(grep -c "\"answer\": \"$letter\"" shuffled.jsonl)
    checks=$((checks + 1))
    [ "$n" -gt 100 ] && [ "$n" -lt 180 ] || wrong "$n of 557 answers are $letter"
done
import 0 mmlu-redux "$redux" --count 198 --output redux.jsonl
same "$(lines redux.jsonl)" 198

musique=$data/musique
import 0 musique "$musique"/full*.jsonl "$musique"/assembled*.jsonl --output musique.jsonl --json
same "$(lines musique.jsonl) $(field rows) $(field duplicates)" "316 317 1"
same "$(field levels.2.train) $(field levels.3.train) $(field levels.4.train)" "193 84 39"
import 0 musique "$musique"/*.jsonl --output musique.jsonl --json
same "$(lines musique.jsonl) $(field rows)" "316 2250"
same "$(field 'left_out.there are no paragraphs')" 1933
bad "none of the 1933 rows makes a task; 1933: there are no paragraphs" \
    musique "$musique/dev_decompositions.jsonl"
import 0 musique "$musique"/full*.jsonl "$musique"/assembled*.jsonl --level 3,4 --train 30 \
    --test 8 --per-level --tokenizer "$data/qwen2.5-tokenizer" --output musique --json
same "$(lines musique/train.jsonl) $(lines musique/test.jsonl)" "60 16"
same "$(field levels.3.test) $(field levels.4.test) $(field question.unit)" "8 8 tokens"
for part in train test; do # the single-hop questions that an id is made of
    sed 's/{"id": "[^"]*__\([0-9_]*\)".*/\1/' musique/$part.jsonl | tr _ '\n' | sort -u >$part.hops
done
same "$(comm -12 train.hops test.hops)" ""
import 0 musique "$musique"/full_3*.jsonl --train 76 --test 8 --split row --output rows
same "$(lines rows/train.jsonl) $(lines rows/test.jsonl)" "76 8"
bad "from 84 rows: 1000 tasks are asked for, there are 84" musique "$musique"/full_3*.jsonl --train 900 --test 100

finish
