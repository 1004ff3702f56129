#!/bin/sh
# The units for systemd: it finds nothing wrong with them, by themselves and with each drop-in, and
# gives each at most 1.5 for how much it is exposed. Usage: test_units.sh SOURCE BUILD
set -u
source=$(readlink -f "$1")/deploy/systemd
plait=$(readlink -f "$2")/deploy/plait
built=$(readlink -f "$2")/deploy/systemd
. "$(dirname "$(readlink -f "$0")")/check.sh"

if ! command -v systemd-analyze >/dev/null; then
    echo "skipped: there is no systemd-analyze"
    exit 77
fi

# Where they are installed there is a program; here anything that can be run does.
cp "$source"/*.target "$source"/*.slice .
for unit in "$built"/*.service; do
    sed -e 's,^ExecStart=[^ ]*/libexec/plait/plait-[a-z]* ,ExecStart=/bin/true ,' \
        -e 's,^ExecPaths=[^ ]*,ExecPaths=/bin/true,' -e '/^Documentation=file:/d' \
        "$unit" >"$(basename "$unit")"
    lacks "$(basename "$unit")" @programs@
    lacks "$(basename "$unit")" @datadir@
    has "$(basename "$unit")" 'ExecStart=/bin/true /etc/plait/run.yaml --name '
done 2>/dev/null
lacks plait-learner.service 'DynamicUser'
for role in actor rewarder relay; do
    has plait-$role@.service 'DynamicUser=yes'
    has plait-$role@.service "--name $role-%i"
done
units="./plait-learner.service ./plait-rewarder@1.service ./plait-actor@1.service ./plait-relay@1.service"

# clean: systemd has nothing to say of the units here
clean() {
    # shellcheck disable=SC2086 # words
    expect 0 systemd-analyze --man=no verify $units ./plait.target ./plait.slice
    ok 'it says nothing' test ! -s err
}
clean
for unit in $units; do
    expect 0 systemd-analyze security --offline=true --threshold=15 "$unit"
    grep -h Overall out
done

# What is stopped has longer than it may take by the settings, whose defaults plait prints.
printf 'run.dir: d\nmodel.path: m\ndata.train_files: [t]\n' >defaults.yaml
expect 0 "$plait" up defaults.yaml --dry-run
cp out settings
# longer UNIT SETTING
longer() {
    checks=$((checks + 1))
    given=$(sed -n 's/^TimeoutStopSec=\([0-9]*\)$/\1/p' "$1")
    needed=$(sed -n "s/^ *$2: *\"*\([0-9]*\)\"* *\(#.*\)*\$/\1/p" settings)
    [ -n "$given" ] && [ -n "$needed" ] && [ "$given" -gt "$needed" ] ||
        wrong "$1: TimeoutStopSec is '$given', $2 '$needed'"
}
longer plait-learner.service workers.learner_drain_s
longer plait-actor@.service workers.drain_s
longer plait-actor@.service link.lease_s
longer plait-rewarder@.service link.lease_s
# A wrong configuration stays wrong: status 2 (README.md, "Exit status").
for unit in plait-*.service; do
    has "$unit" 'RestartPreventExitStatus=2'
done

mkdir plait-.service.d
for drop_in in keys redis-access; do
    cp "$source/$drop_in.conf" plait-.service.d
    clean
done
# It is read, and a slip in it is seen.
sed 's/^LoadCredential/LoadCredentials/' "$source/keys.conf" >plait-.service.d/keys.conf
# shellcheck disable=SC2086 # words
systemd-analyze --man=no verify $units >err 2>&1
has err "Unknown key 'LoadCredentials' in section [Service]"
rm -r plait-.service.d

# What is not as it should be is found.
sed 's/^WatchdogSec=/WatchdogSecs=/' plait-learner.service >plait-other.service
systemd-analyze --man=no verify ./plait-other.service >err 2>&1
has err "Unknown key 'WatchdogSecs'"
sed '/^Protect\|^Private/d' plait-learner.service >plait-other.service
expect 1 systemd-analyze security --offline=true --threshold=15 ./plait-other.service

if [ -e /lib/systemd/system/redis-server.service ]; then
    cp /lib/systemd/system/redis-server.service .
    mkdir redis-server.service.d
    cp "$source/redis-server.conf" redis-server.service.d/plait.conf
    systemd-analyze --man=no verify ./redis-server.service >err 2>&1
    lacks err plait
fi

finish
