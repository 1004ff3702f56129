# shellcheck shell=sh
# Sourced by flow tests of commands: runs a program, keeps what it prints, counts what is wrong. The
# test works in a folder of its own, which goes when it ends.
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
unset PLAIT_ISA NO_COLOR
failures=0
checks=0
said= shown=

# expect STATUS PROGRAM WORD...: what it prints goes to ./out and ./err; its standard input is ./in,
# which is used up, or nothing
expect() {
    want=$1
    shift
    said=$*
    [ -e in ] || : >in
    "$@" >out 2>err <in
    status=$?
    rm -f in
    checks=$((checks + 1))
    [ $status -eq "$want" ] || wrong "exit status $status, not $want"
}

wrong() {
    echo "WRONG: $said: $1"
    [ "$shown" = "$said" ] || for at in out err; do # once is enough
        [ ! -e $at ] || cut -c 1-300 $at | head -n 20 | sed "s/^/    $at: /"
    done
    shown=$said
    failures=$((failures + 1))
}

# ok WHAT COMMAND...: the command must succeed; WHAT says so
ok() {
    checks=$((checks + 1))
    what=$1
    shift
    "$@" >/dev/null 2>&1 || wrong "$what"
}

# has FILE TEXT: a line of FILE holds TEXT
has() {
    checks=$((checks + 1))
    grep -qF -- "$2" "$1" || wrong "$1 should hold: $2"
}

# lacks FILE TEXT: none does
lacks() {
    checks=$((checks + 1))
    ! grep -qF -- "$2" "$1" || wrong "$1 should not hold: $2"
}

# is FILE TEXT: FILE is TEXT and the end of a line
is() {
    checks=$((checks + 1))
    printf '%s\n' "$2" | cmp -s - "$1" || wrong "$1 should be: $2"
}

# silent FILE
silent() {
    checks=$((checks + 1))
    [ ! -s "$1" ] || wrong "$1 should be empty"
}

# one_sentence: an error of one line, with or without a hint where to read on
one_sentence() {
    checks=$((checks + 1))
    [ "$(grep -cv "^Try 'plait" err)" -eq 1 ] || wrong "the error should be one line"
}

# wait_for FILE TEXT: until FILE holds it, at most a minute
wait_for() {
    for _ in $(seq 600); do
        ! grep -qF -- "$2" "$1" 2>/dev/null || return 0
        sleep 0.1
    done
    wrong "after a minute $1 does not hold: $2"
}

# finish: sums up and leaves
finish() {
    echo "$checks checks, $failures failed"
    [ "$failures" -eq 0 ]
    exit
}
