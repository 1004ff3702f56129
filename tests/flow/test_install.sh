#!/bin/sh
# What is installed runs from where it is installed, and finds what came with it.
# Usage: test_install.sh BUILD
set -u
build=$(readlink -f "$1")
. "$(dirname "$(readlink -f "$0")")/check.sh"

for program in meson systemd-analyze; do
    command -v $program >/dev/null && continue
    echo "skipped: there is no $program"
    exit 77
done
expect 0 env DESTDIR="$dir/root" meson install -C "$build" --no-rebuild --quiet
prefix=$(find root -path '*/bin/plait' | sed 's,/bin/plait$,,')
ok 'plait is installed' test -n "$prefix"
share=$prefix/share/plait

# Each program says what it is; the daemons are found by plait.
expect 0 "$prefix/bin/plait" --version
for role in actor learner rewarder relay; do
    expect 0 "$prefix/libexec/plait/plait-$role" --help
    expect 0 "$prefix/bin/plait" "$role" --help
    has out "plait-$role"
done
for program in "$prefix"/bin/* "$prefix"/libexec/plait/*; do
    expect 0 "$program" --help
    lacks out "$build"
done

# Templates are found from there: an instruction is in the rows.
expect 0 "$prefix/bin/plait" data generate kk --people 2 --count 1 --seed 1 --answers interleave \
    --instruction full --output rows.jsonl
expect 0 "$build/deploy/plait" data generate kk --people 2 --count 1 --seed 1 --answers interleave \
    --instruction full --output same.jsonl --templates "$share/templates"
ok 'the same rows' cmp rows.jsonl same.jsonl
# The sample is a configuration that every program takes.
for role in actor learner rewarder relay; do
    expect 0 "$prefix/libexec/plait/plait-$role" "$share/systemd/run.yaml" --dry-run
    has out 'rediss://127.0.0.1:6379'
done
ok 'recipes are there' test -s "$share/recipes/small/interleave-ir.yaml"

# Units name programs that are there.
units=$prefix/lib/systemd/system
sed -n 's/^ExecStart=\([^ ]*\) .*/\1/p' "$units"/plait-*.service >programs
ok 'four units' test "$(wc -l <programs)" -eq 4
while IFS= read -r program; do
    ok "$program is there" test -x "root$program"
done <programs
for file in "$units/plait.target" "$units/plait.slice" "$prefix/lib/sysusers.d/plait.conf" \
    "$share/systemd/README.md" "$share/systemd/keys.conf" "$share/systemd/redis-access.conf" \
    "$share/systemd/redis-server.conf" "$share/redis/redis.conf"; do
    ok "$file is there" test -s "$file"
done
documentation=$(sed -n 's,^Documentation=file:,,p' "$units/plait-learner.service")
ok 'the documentation is where the unit says' test -s "root$documentation"

finish
