#!/bin/sh
# handover.pml by spin: the protocol holds, and each of its wrong variants is refuted.
# Usage: handover.sh MODEL [FAULTS]
set -eu

model=$1
faults=${2:-1}

command -v spin >/dev/null || {
    echo "skipped: spin is not installed (deploy/install-deps.sh --test installs it)"
    exit 77
}
# leave STATUS: what was made goes, and a line for `plait-chaos report`, where PLAIT_CHAOS_RESULTS names the file.
leave() {
    rm -rf "$dir"
    [ -z "${PLAIT_CHAOS_RESULTS-}" ] ||
        printf '{"area": "model", "name": "spin", "form": "%s", "seed": 0, "count": 8, "failures": %d, "faults": %d, "states": %d}\n' \
            "$([ "$faults" -gt 1 ] && echo long || echo short)" "$1" "$faults" "${states:-0}" >>"$PLAIT_CHAOS_RESULTS"
}
dir=$(mktemp -d)
trap 'leave $?' EXIT
cd "$dir"

# verify WRONG: how many errors spin finds, in "errors".
verify() {
    spin -DWRONG="$1" -DFAULTS="$faults" -a "$model" >spin.txt
    cc -O1 -w -DSAFETY -DCOLLAPSE -o pan pan.c
    ./pan -m1000000 -w24 >pan.txt
    errors=$(sed -n 's/.* errors: \([0-9]*\)$/\1/p' pan.txt)
    if [ -z "$errors" ] || { [ "$errors" = 0 ] && grep -q 'not completed\|too small' pan.txt; }; then
        echo "spin did not get to the end:"
        cat spin.txt pan.txt
        exit 1
    fi
}

verify 0
if [ "$errors" != 0 ]; then
    echo "the protocol fails:"
    cat pan.txt
    spin -DWRONG=0 -DFAULTS="$faults" -t -p -g "$model" | tail -60
    exit 1
fi
states=$(sed -n 's/ *\([0-9][0-9]*\) states, stored.*/\1/p' pan.txt)
echo "the protocol holds with $faults faults:$(grep 'states, stored' pan.txt | tr -s ' ')"
for wrong in 1 2 3 4 5 6 7; do
    verify $wrong
    if [ "$errors" = 0 ]; then
        echo "wrong $wrong is not refuted"
        exit 1
    fi
done
echo "its 7 wrong variants are refuted"
