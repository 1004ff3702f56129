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
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
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
echo "the protocol holds with $faults faults:$(grep 'states, stored' pan.txt | tr -s ' ')"
for wrong in 1 2 3 4 5 6 7; do
    verify $wrong
    if [ "$errors" = 0 ]; then
        echo "wrong $wrong is not refuted"
        exit 1
    fi
done
echo "its 7 wrong variants are refuted"
