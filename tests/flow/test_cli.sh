#!/bin/sh
# The front end from outside: exit statuses, help, sentences of errors. Usage: test_cli.sh PLAIT
set -u
plait=$(readlink -f "$1")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
unset PLAIT_ISA NO_COLOR
failures=0
checks=0

# run STATUS WORD...: run plait, keep what it prints in ./out and ./err, check its exit status
run() {
    want=$1
    shift
    said="plait $*"
    "$plait" "$@" >out 2>err </dev/null
    status=$?
    checks=$((checks + 1))
    if [ $status -ne "$want" ]; then
        wrong "exit status $status, not $want"
    fi
}

wrong() {
    echo "WRONG: $said: $1"
    sed 's/^/    out: /' out | head -n 20
    sed 's/^/    err: /' err | head -n 20
    failures=$((failures + 1))
}

# has FILE TEXT: a line of FILE holds TEXT
has() {
    checks=$((checks + 1))
    grep -qF -- "$2" "$1" || wrong "std$1 should hold: $2"
}

# silent FILE
silent() {
    checks=$((checks + 1))
    [ ! -s "$1" ] || wrong "nothing should be on std$1"
}

# one_sentence: an error of one line, with or without a hint where to read on
one_sentence() {
    checks=$((checks + 1))
    [ "$(grep -cv "^Try 'plait" err)" -eq 1 ] || wrong "the error should be one line"
}

run 0 --version
has out "plait "
silent err
run 0 help
has out "Usage: plait COMMAND"
run 0 --help
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
run 2 --frobnicate
has err "unknown option '--frobnicate'"

# Every command the help lists explains itself, and refuses what it does not know.
run 0 help
commands=$(sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' out)
checks=$((checks + 1))
[ -n "$commands" ] || wrong "the help lists no commands"
for command in $commands; do
    run 0 help "$command"
    has out "Usage: plait $command"
    silent err
    cp out by_help
    run 0 "$command" --help
    checks=$((checks + 1))
    cmp -s out by_help || wrong "'plait help $command' and 'plait $command --help' differ"
    run 2 "$command" --frobnicate
    has err "plait $command: "
    one_sentence
    silent out
done

# Programs of their own are found and run, and their status is plait's.
mkdir bin
printf '#!/bin/sh\necho "external got $*"\nexit 7\n' >bin/plait-hello
chmod +x bin/plait-hello
PATH=$dir/bin:$PATH
export PATH
run 7 hello a "b c"
has out "external got a b c"
run 0 help
has out "  hello"
run 7 help hello
has out "external got --help"
run 2 helo
has err "did you mean 'hello'?"
chmod -x bin/plait-hello
run 2 hello

# Values are checked, wherever they come from.
run 2 doctor --color=pink
has err "option '--color' needs one of auto, always, never, not 'pink'."
one_sentence
PLAIT_COLOR=pink run 2 doctor
has err "variable PLAIT_COLOR needs one of auto, always, never, not 'pink'."
run 2 doctor now
has err "one argument too many: 'now'."

# What the machine is like, for people and for scripts.
run 0 doctor
has out "row invariant   yes"
has out "matmul peak"
run 0 doctor --json
has out '"row_invariant": true'
has out '"read_bandwidth_gb_per_s"'
silent err

# Folders that are no models: one clear sentence, status 1.
mkdir empty
printf '{"model_type": "qwen2", "hidden_size": -1}\n' >empty/config.json
for at in empty nowhere; do
    for command in "model info" "chat" "model score"; do
        # shellcheck disable=SC2086
        case $command in
        "model score") run 1 $command $at bin/plait-hello ;;
        *) run 1 $command $at ;;
        esac
        has err "plait $command: "
        has err "$at"
        one_sentence
        silent out
    done
done

echo "$checks checks, $failures failed"
[ "$failures" -eq 0 ]
