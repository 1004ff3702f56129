#!/bin/sh
# `plait chat` from outside: a pipe, a terminal, signals, hostile answers, a full context.
# Usage: test_chat.sh PLAIT PARROT JSON
set -u
plait=$(readlink -f "$1")
parrot=$(readlink -f "$2")
json=$(readlink -f "$3")
. "$(dirname "$(readlink -f "$0")")/check.sh"
export TERM=xterm

chat() {
    want=$1
    shift
    expect "$want" "$plait" chat "$@"
}

# on_terminal COMMAND: run in a terminal; ./out is the screen
on_terminal() {
    said=$1
    script -qec "$1" /dev/null </dev/null >out 2>err
}

newline='
'
"$parrot" model 100000 '1=<thi~nk>~one more~</think><ans~wer>two~</answ~er>' '2=round~ and~*' \
    '3=\x1b~[31mred~\x07~title\x07~\xC2~\x9B~1A~\r' '4=<think>~hm~</think>'"$newline"'~<answer>~yes~</answer>' \
    '5=no~ tags' >log 2>&1 || {
    cat log
    exit 1
}

# One question.
chat 0 model --prompt 'what is 1'
is out '<think>one more</think><answer>two</answer>'
has err '8 tokens, '
has err ' tok/s, first answer after '
has err ' ms (5 tokens)'
chat 0 model --prompt 'what is 1' --quiet
silent err
chat 0 model --prompt 'what is 1' --quiet --color always
is out "$(printf '\033[2mone more\033[0m\ntwo')"
chat 0 model --prompt 'what is 1' --quiet --raw --color always
is out '<think>one more</think><answer>two</answer><|endoftext|>'
chat 0 model --prompt 'no tags are 5' --quiet
is out 'no tags'
PLAIT_QUIET=yes PLAIT_PROMPT=4 chat 0 model
is out "<think>hm</think>$newline<answer>yes</answer>"

# Lines of a pipe are turns of one conversation; blank ones are none, and a last one needs no end.
printf 'first 1\r\n  \n\nthen 4\nlast 5' >in
chat 0 model --json
silent err
cp out answers
ok 'each turn is one line of JSON' test "$(wc -l <answers)" -eq 3
"$json" prompt <answers >out
is out "first 1${newline}then 4${newline}last 5"
"$json" segments <answers >out
is out '[{"part":"think","text":"one more"},{"part":"answer","text":"two"}]'"$newline"'[{"part":"think","text":"hm"},{"part":"answer","text":"yes"}]'"$newline"'[{"part":"text","text":"no tags"}]'
"$json" ttfa_tokens <answers >out
is out "5${newline}5${newline}1"
# Only what is new is computed: all but the last token of the response before.
prompts=$("$json" prompt_tokens <answers | tr '\n' ' ')
reused=$("$json" reused_tokens <answers | tr '\n' ' ')
said="prompts of $prompts tokens, $reused reused"
ok 'a turn begins with what is in the cache' test "$prompts" = '7 21 34 '
ok 'all of it is reused' test "$reused" = '0 14 27 '
printf 'first 1\nthen 4\n' >in
chat 0 model --json --fresh
"$json" prompt_tokens <out >tokens
is tokens "7${newline}6"

# What a model writes cannot steer the terminal.
chat 0 model --prompt 'hostile 3' --quiet --color always
is out "$(printf '\342\220\233[31mred\342\220\207title\\x07<U+009B>1A\\r')"
chat 0 model --prompt 'hostile 3' --json
lacks out "$(printf '\033')"
lacks out "$(printf '\302\233')"
"$json" text <out >text
is text "$(printf '\033[31mred\007title\\x07\302\2331A\\r')"
chat 0 model --prompt 'hostile 3' --quiet --raw # a file may have it as it is
has out "$(printf '\033[31mred')"
on_terminal "'$plait' chat model --prompt 'hostile 3' --quiet --raw"
lacks out "$(printf '\033')"
has out '<U+009B>1A'

# Limits.
chat 0 model --prompt 2 --max-tokens 3
is out 'round andround'
has err 'cut short by --max-tokens'
chat 0 model --prompt 2 --context 5
is out 'round andround and'
has err 'cut short: the context is full'
printf '2\n1\n' >in
chat 1 model --context 5
has err 'plait chat: the context of 5 tokens is full: 5 are taken, and this turn does not fit'

# Draws: the same seed, the same answer, however it is computed; another seed, another answer.
chat 0 model --prompt 1 -q --temperature 100 --max-tokens 30 --json
"$json" text <out >first
chat 0 model --prompt 1 -q --temperature 100 --max-tokens 30 --json --threads 1
"$json" text <out >second
ok 'threads change nothing' cmp first second
chat 0 model --prompt 1 -q --temperature 100 --max-tokens 30 --json --seed 1
"$json" text <out >second
ok 'another seed gives another answer' test "$(cat first)" != "$(cat second)"
chat 0 model --prompt 1 -q --temperature 100 --top-k 1
is out '<think>one more</think><answer>two</answer>'
chat 0 model --prompt 1 -q --min-p 0.5 # a cut alone draws at temperature 1
is out '<think>one more</think><answer>two</answer>'
cp -r model drawn
printf '{"do_sample": true, "temperature": 100.0, "top_k": 0, "eos_token_id": 256, "repetition_penalty": 1.1}\n' \
    >drawn/generation_config.json
chat 0 drawn --prompt 1 --max-tokens 30 --json
has err 'repetition_penalty 1.1, which plait does not apply'
"$json" text <out >second
ok "the model's own settings count" cmp first second
chat 0 drawn --prompt 1 -q --temperature 0
is out '<think>one more</think><answer>two</answer>'
silent err
printf '{"do_sample": true, "top_p": "all"}\n' >drawn/generation_config.json
chat 1 drawn --prompt 1
has err 'drawn/generation_config.json: '
one_sentence

# Templates.
printf '{{user}}{{answer}}<|end|>' >template
printf '2\n1\n' >in
chat 0 model --template template --max-tokens 2 --json
"$json" prompt_tokens <out >tokens
is tokens "1${newline}5" # the answer that was cut off was ended
chat 1 model --template nowhere --prompt 1
has err 'nowhere'
one_sentence
chat 1 model --system 'be kind' --prompt 1
one_sentence

# Wrong command lines and folders.
chat 2
has err "plait chat: "
chat 2 model --temperature 1001
has err "option '--temperature' needs a number from -1 to 1000"
chat 2 model --top-k 1.5
has err "option '--top-k' needs a whole number, not 1.5."
chat 1 model --prompt 1 --context 100001
has err 'plait chat: --context is 100001, the model has 100000 positions'
chat 1 model --prompt 1 --temperature 1e-9
one_sentence
chat 1 nowhere --prompt 1
has err "nowhere"
one_sentence
chat 1 model --prompt ''
has err 'nothing was said'
if [ -e /dev/full ]; then
    said='plait chat model >/dev/full'
    "$plait" chat model --prompt 1 2>err >/dev/full
    ok 'a full disk is a failure' test $? -eq 1
    has err 'plait chat: write the answer: No space left on device'
fi

# Signals end an answer that has no end.
for pair in INT:130 TERM:143; do
    said="plait chat, kill -${pair%:*}"
    rm -f out err
    "$plait" chat model --prompt 2 --context 100000 >out 2>err &
    pid=$!
    wait_for out 'round andround and'
    kill -"${pair%:*}" $pid
    wait $pid
    ok "exit status ${pair#*:}" test $? -eq "${pair#*:}"
    has err 'stopped'
done

# In a terminal: answers stream, Ctrl-C ends one, /new forgets, Ctrl-D leaves.
mkfifo typed
said='plait chat in a terminal'
rm -f out
script -qec "'$plait' chat model --context 100000" /dev/null <typed >out 2>err &
pid=$!
exec 3>typed
wait_for out '/new begins anew'
printf 'what is 1\r' >&3
wait_for out 'first answer after'
has out "$(printf '\033[2mone more\033[0m')"
lacks out '<think>'
printf 'on 2\r' >&3
wait_for out 'round and'
printf '\003' >&3
wait_for out '; stopped'
printf '/new\r4\r' >&3
wait_for out 'yes'
printf '\004' >&3
exec 3>&-
wait $pid
ok 'Ctrl-D leaves with status 0' test $? -eq 0
on_terminal "NO_COLOR=1 '$plait' chat model --prompt 1"
has out '<think>one more</think><answer>two</answer>'
lacks out "$(printf '\033')"
rm -f out
{
    wait_for out '> '
    printf '\003'
} | script -qec "'$plait' chat model" /dev/null >out 2>err
ok 'Ctrl-C at the prompt leaves with status 130' test $? -eq 130

finish
