#!/bin/sh
# The units for systemd: it finds nothing wrong with them, by themselves and with each drop-in, and
# gives each at most 1.5 for how much it is exposed. Usage: test_units.sh SOURCE BUILD
set -u
source=$(readlink -f "$1")/deploy/systemd
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
