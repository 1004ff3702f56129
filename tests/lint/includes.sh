#!/bin/sh
# An include goes down the floors, never up or across. Usage: includes.sh [ROOT]
set -eu
here=$(dirname "$(readlink -f "$0")")
root=${1:-$(readlink -f "$here/../..")}
. "$here/files.sh"

cd "$root"
list_files '*.c' '*.h' | while IFS= read -r file; do
    grep -Hn '^[[:space:]]*#[[:space:]]*include' "$file" || true
done | awk -F: '
BEGIN {
    floor["common/base"] = 0
    floor["common/math"] = floor["common/text"] = 1
    floor["common/model"] = 2
    floor["proto"] = 3
    floor["common/link"] = floor["common/app"] = 4
    floor["actor"] = floor["rewarder"] = floor["learner"] = 5
    floor["deploy/relay"] = floor["deploy/tasks"] = floor["deploy/view"] = floor["deploy/plan"] = 6
    floor["deploy/paper"] = 7
    floor["deploy"] = 8
    floor["tests"] = 9
}
function folder(path,    parts) { # the floor a path stands on, by name; "" for none
    split(path, parts, "/")
    return parts[1] == "common" || (parts[1] "/" parts[2]) in floor ? parts[1] "/" parts[2] : parts[1]
}
function wrong(text) {
    printf "%s:%s: %s\n", $1, $2, text
    bad++
}
{
    count++
    line = substr($0, length($1) + length($2) + 3)
    if (line ~ /[<"]cblas[^"]*\.h/ && $1 != "common/math/gemm.c")
        wrong("common/math/gemm.c alone includes cblas.h")
    if (line !~ /"/)
        next
    path = line
    sub(/^[^"]*"/, "", path)
    sub(/".*/, "", path)
    from = folder($1)
    to = folder(path)
    if (!(to in floor) || (getline first < path) < 0)
        wrong("\"" path "\" is no file by its path from the root")
    else if (from in floor && from != to && floor[to] >= floor[from])
        wrong(from " includes \"" path "\", which does not lie under it")
    close(path)
}
END {
    if (count == 0) {
        print "no includes were found: is this the right folder?"
        bad++
    }
    printf "%d includes, %d wrong\n", count, bad
    exit bad > 0
}'
