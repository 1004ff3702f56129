#!/bin/sh
# `plait quarantine` on a Redis of its own: who is in it and why, in text and JSON, whatever the
# names and reasons hold; out of it, with the strikes forgotten and an event that says so.
# Usage: test_quarantine.sh PLAIT JSON
set -u
plait=$(readlink -f "$1")
json=$(readlink -f "$2")
. "$(dirname "$(readlink -f "$0")")/check.sh"

if ! command -v redis-server >/dev/null || ! command -v redis-cli >/dev/null; then
    echo "skipped: redis-server is not installed (deploy/install-deps.sh installs it)"
    exit 77
fi
redis-server --port 0 --unixsocket "$dir/s" --save '' --dir "$dir" >redis.log 2>&1 &
redis=$!
trap 'kill $redis 2>/dev/null; wait $redis 2>/dev/null; rm -rf "$dir"' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
for _ in $(seq 600); do
    [ "$(redis-cli -s s PING 2>/dev/null)" = PONG ] && break
    sleep 0.1
done
say() {
    redis-cli -s s "$@"
}

# at PATH TEXT: what stands there in ./out
at() {
    checks=$((checks + 1))
    found=$("$json" "$1" <out)
    [ "$found" = "$2" ] || wrong "$1 is $found, not $2"
}

cat >run.yaml <<END
run: {name: t, dir: elsewhere}
model.path: m
data.train_files: [t]
link.redis: unix://$dir/s
END

expect 0 "$plait" quarantine ls run.yaml
is out 'No actor is in quarantine.'
expect 0 "$plait" quarantine lift run.yaml --all
is out 'No actor is in quarantine.'
escape=$(printf '\033')
say HSET 'plait:{t}:quarantine' actor-1 'audit of group 3:1: token 5' actor-2 "it says ${escape}[31mred" \
    actor-3 'a third' >/dev/null
say HSET 'plait:{t}:strikes' actor-1 2 actor-2 1 actor-9 1 >/dev/null
expect 0 "$plait" quarantine ls run.yaml --color never
silent err
has out 'actor    strikes  reason'
has out 'actor-1        2  audit of group 3:1: token 5'
has out 'actor-2        1  it says \x1b[31mred'
has out 'actor-3        0  a third'
lacks out "$escape"
expect 0 "$plait" quarantine ls run.yaml --json
at run t
ok 'three are listed' test "$("$json" quarantined <out | grep -o '"actor":' | wc -l)" -eq 3

expect 1 "$plait" quarantine lift run.yaml actor-1 actor-8
has err "'actor-8' is not in quarantine; 3 actors are"
one_sentence
ok 'nobody is out' test "$(say HLEN 'plait:{t}:quarantine')" = 3
expect 0 "$plait" quarantine lift run.yaml actor-1
is out 'actor-1 is out of quarantine'
ok 'it is out' test "$(say HEXISTS 'plait:{t}:quarantine' actor-1)" = 0
ok 'its strikes are forgotten' test "$(say HEXISTS 'plait:{t}:strikes' actor-1)" = 0
ok "others' are not" test "$(say HGET 'plait:{t}:strikes' actor-9)" = 1
say XRANGE 'plait:{t}:events' - + >events
ok 'an event says so' grep -qx lifted events
expect 0 "$plait" quarantine lift run.yaml --all --json
at lifted.1 actor-3
ok 'nobody is left' test "$(say EXISTS 'plait:{t}:quarantine')" = 0
expect 0 "$plait" top run.yaml --once
has out 'lifted'
has out 'actor=actor-3'

expect 2 "$plait" quarantine lift run.yaml
has err 'name actors, or give --all'
expect 2 "$plait" quarantine lift run.yaml actor-1 --all
expect 2 "$plait" quarantine lst run.yaml
has err "did you mean 'ls'?"
expect 1 "$plait" quarantine ls run.yaml --set link.redis=redis://127.0.0.1:1
has err 'Connection refused'
one_sentence
finish
