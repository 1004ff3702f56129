#!/bin/sh
# `plait tokenizer` from outside: learning, applying, errors. Usage: test_tokenizer.sh PLAIT SOURCE
set -u
plait=$(readlink -f "$1")
source=$(readlink -f "$2")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
failures=0
checks=0

wrong() {
    echo "WRONG: $said: $1"
    sed 's/^/    out: /' out | head -n 20
    sed 's/^/    err: /' err | head -n 20
    failures=$((failures + 1))
}

# run STATUS WORD...: run plait tokenizer on ./in, keep what it prints in ./out and ./err
run() {
    want=$1
    shift
    said="plait tokenizer $*"
    "$plait" tokenizer "$@" >out 2>err <in
    status=$?
    checks=$((checks + 1))
    [ $status -eq "$want" ] || wrong "exit status $status, not $want"
}

# has FILE TEXT: a line of FILE holds TEXT
has() {
    checks=$((checks + 1))
    grep -qF -- "$2" "$1" || wrong "$1 should hold: $2"
}

# same FILE FILE
same() {
    checks=$((checks + 1))
    cmp -s "$1" "$2" || wrong "$1 and $2 should be the same"
}

: >in
cat "$source/README.md" "$source"/common/text/*.[ch] >text
printf 'caf\303\251 \360\237\215\260 \344\275\240\345\245\275 na\303\257ve\r\n\r\n\t tab  ' >>text

# Learning: files, the same ones each time, not over those of another.
run 0 train --size 900 --token '<think>' --special '<|tool|>' --output m --quiet text
has out "900 tokens from "
has out "written to m"
[ -s err ] && wrong "nothing should be on standard error"
run 1 train --size 400 --output m text
has err "'m/tokenizer.json' is there already; --force replaces it"
mkdir first
cp m/* first
run 0 train --size 900 --token '<think>' --special '<|tool|>' --output m --force --json text
has out '"tokens":900'
same first/tokenizer.json m/tokenizer.json
same first/tokenizer_config.json m/tokenizer_config.json
cat text >in
run 0 train --size 900 --token '<think>' --special '<|tool|>' --output by_pipe - # in blocks too
same m/tokenizer.json by_pipe/tokenizer.json
run 0 info m --json
has out '"tokens": 900'
has out '"content": "<think>"'
run 0 info m
has out "merges         639"
has out "<think>  (not special)"

# JSON lines: the named fields, all of them.
printf '{"a":"xyxyxy xyxyxy","b":"xyxyxy","c":"qqqqqq qqqqqq"}\n\n{"a":"","b":"xyxyxy\\n"}\n' >lines
run 0 train --size 300 --field a --field b --output j lines
has err "the text holds pairs for "
printf 'xyxyxy qq' >in
run 0 encode j --tokens
has out '"xyxyxy"'
has out '"q"'

# There and back.
cp text in
run 0 encode m
mv out ids
cp ids in
run 0 decode m
same out text
run 0 encode m text
same out ids
printf 'one<|im_end|>\ntwo\r\n' >in
run 0 encode m --input lines
[ "$(wc -l <out)" -eq 2 ] || wrong "there should be two lines"
cp out in
run 0 decode m --json
has out '"one<|im_end|>"'
run 0 decode m --json --skip-special
has out '"one"'
printf '"a\\nb"\n{"text":"c","more":"d"}\n' >in
run 0 encode m --input json --field text --field more
[ "$(wc -l <out)" -eq 3 ] || wrong "there should be three lines"
printf '<|im_end|>' >in
run 0 encode m
has out "[897]"
run 0 encode m --untrusted
checks=$((checks + 1))
grep -q 897 out && wrong "a special token should be spelled out"
printf '\377\376x' >in
run 0 encode m
cp out in
run 0 decode m
printf '\357\277\275\357\277\275x' >want
same out want

# Errors: one sentence that says where.
: >in
run 1 train --output n nowhere
has err "open 'nowhere': No such file"
run 1 train --output n .
has err "'.' is a directory"
run 1 train text
has err "option '--output' is needed"
run 1 train --size 258 --output n text
has err "a vocabulary of 258 tokens; expected 259 (256 bytes and 3 added tokens)"
run 1 train --output n --token '<|im_end|>' text
has err "added token '<|im_end|>' is there twice"
printf '{"a":"x"}\n{"a":7}\n' >lines
run 1 train --field a --output n lines
has err "'lines' line 2: 'a' is no string; expected a string"
run 1 train --field b --output n lines
has err "'lines' line 1: 'b' is missing; expected a string"
printf '{"a":"x"}\n{"a":\n' >lines
run 1 train --field a --output n lines
has err "'lines' line 2, column "
[ -e n ] && wrong "nothing should be written after an error"
run 1 encode nowhere
has err "'nowhere': there is no tokenizer.json"
printf '[1,99999]\n' >in
run 1 decode m
has err "token id 99999: the tokenizer has no such token"
printf '{"ids":[1]}\n' >in
run 1 decode m
has err "expected a JSON array of token ids"
run 2 encode
has err "plait tokenizer encode: "
run 2 frobnicate
has err "plait tokenizer: unknown command 'frobnicate'"

echo "$checks checks, $failures failed"
[ "$failures" -eq 0 ]
