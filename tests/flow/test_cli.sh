#!/bin/sh
# The front end from outside: exit statuses, help, sentences of errors, colours, programs of their
# own, what `plait doctor` says. Usage: test_cli.sh PLAIT JSON
set -u
plait=$(readlink -f "$1")
json=$(readlink -f "$2")
. "$(dirname "$(readlink -f "$0")")/check.sh"
newline='
'

run() {
    want=$1
    shift
    expect "$want" "$plait" "$@"
}

# commands_of FILE: the commands that a help text lists
commands_of() {
    sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' "$1"
}

run 0 --version
has out "plait "
silent err
run 0 help
has out "Usage: plait COMMAND"
run 0 --help
has out "Usage: plait COMMAND"
run 0 -h
has out "Usage: plait COMMAND"
run 0 help help
has out "Usage: plait COMMAND"
run 2
has err "a command is missing"
silent out
run 2 doctr
has err "unknown command 'doctr'; did you mean 'doctor'?"
silent out
run 2 zzzzzzzz
has err "unknown command 'zzzzzzzz'."
run 2 ../plait
has err "unknown command"
run 2 ''
has err "unknown command"
run 2 --frobnicate
has err "unknown option '--frobnicate'"
if [ -e /dev/full ]; then
    said='plait help >/dev/full'
    "$plait" help >/dev/full 2>err
    ok 'help that cannot be written is a failure' test $? -eq 1
fi

# explains WORD...: the command tells what it takes, and refuses what it does not know
explains() {
    run 0 help "$@"
    has out "Usage: plait $*"
    silent err
    cp out by_help
    run 0 "$@" --help
    ok "'plait help $*' and 'plait $* --help' should be the same" cmp -s out by_help
    ok 'a line of help is too long' test "$(wc -L <out)" -le 120
    run 2 "$@" --frobnicate
    has err "plait $1"
    has err "--frobnicate"
    one_sentence
    silent out
}

run 0 help
commands=$(commands_of out)
for command in doctor model tokenizer data sft chat; do
    ok "the help should list $command" expr "$newline$commands$newline" : ".*$newline$command$newline"
done
for command in $commands; do
    explains "$command"
    for word in $(commands_of by_help); do
        explains "$command" "$word"
        run 2 "$command" "${word}x"
        has err "did you mean '$word'?"
        silent out
    done
    if [ -n "$(commands_of by_help)" ]; then
        run 2 "$command"
        has err "a command is missing"
    fi
done

# Programs of their own are found and run, and their status is plait's.
mkdir bin
printf '#!/bin/sh\n[ "$1" != die ] || kill -TERM $$\necho "external got $*"\nexit 7\n' >bin/plait-hello
chmod +x bin/plait-hello
PATH=$dir/bin:$PATH
export PATH
run 7 hello a "b c"
has out "external got a b c"
run 143 hello die
run 0 help
has out "  hello"
run 7 help hello
has out "external got --help"
run 2 helo
has err "did you mean 'hello'?"
chmod -x bin/plait-hello
run 2 hello
printf '#!/nowhere/sh\n' >bin/plait-broken
chmod +x bin/plait-broken
run 1 broken
has err "plait: run "

# Values are checked, wherever they come from.
run 2 doctor --color=pink
has err "option '--color' needs one of auto, always, never, not 'pink'."
one_sentence
PLAIT_COLOR=pink run 2 doctor
has err "variable PLAIT_COLOR needs one of auto, always, never, not 'pink'."
run 2 doctor now
has err "open 'now': No such file or directory"
run 2 model info one two
has err "one argument too many: 'two'."
run 2 chat
has err "MODEL"

# What the machine is like, for scripts and for people.
run 0 doctor --json
silent err
for key in version cpu kernels blas_core threads memory_usable_bytes matmul_peak_gflops \
    read_bandwidth_gb_per_s row_invariance_checked; do
    "$json" $key <out >value
    ok "the report should have a $key" grep -q . value
done
"$json" row_invariant <out >value
is value true
run 0 doctor --color always
has out "row invariant   $(printf '\033[32myes\033[0m'): "
has out "matmul peak"

# colours WORD=VALUE...: the help as a terminal sees it
colours() {
    said="$* plait help in a terminal"
    script -qec "env $* '$plait' help" /dev/null </dev/null >out 2>err
    has out 'Commands:'
}
bold=$(printf '\033[1m')
colours TERM=xterm
has out "$bold"
colours TERM=xterm NO_COLOR=
has out "$bold"
colours TERM=xterm NO_COLOR=1
lacks out "$(printf '\033')"
colours TERM=dumb
lacks out "$(printf '\033')"
run 0 help
lacks out "$(printf '\033')"

# Folders that are no models: one clear sentence, status 1.
mkdir empty
printf '{"model_type": "qwen2", "hidden_size": -1}\n' >empty/config.json
printf '{"text": "a"}\n' >texts.jsonl
for at in empty nowhere; do
    for command in "model info $at" "model score $at texts.jsonl" "chat $at" "tokenizer info $at"; do
        # shellcheck disable=SC2086
        run 1 $command
        has err "plait ${command%% "$at"*}: "
        has err "$at"
        one_sentence
        silent out
    done
done

finish
