#!/bin/sh
# What does not belong into the tree: large files, binaries, notes for later, blanks at line ends.
# Usage: repo.sh [ROOT]
set -eu
here=$(dirname "$(readlink -f "$0")")
root=${1:-$(readlink -f "$here/../..")}
. "$here/files.sh"

cd "$root"
list=$(mktemp)
found=$(mktemp)
trap 'rm -f "$list" "$found"' EXIT
list_files >"$list"
if [ ! -s "$list" ]; then
    echo "no files were found: is this the right folder?"
    exit 1
fi
notes='TO''DO|FIX''ME|XX''X' # split, or this file would be found

while IFS= read -r file; do
    size=$(wc -c <"$file")
    [ "$size" -le 1048576 ] || echo "$file: $size bytes; over 1 MiB"
    [ "$size" -gt 0 ] || continue
    case $file in
    tests/fuzz/corpus/*) continue ;; # bytes that no text tool would like are the point of these
    esac
    if ! LC_ALL=C grep -Iq . "$file" && LC_ALL=C grep -q . "$file"; then
        echo "$file: a binary file"
        continue
    fi
    [ "$file" = LICENSE ] || grep -HnE "(^|[^A-Za-z0-9_])($notes)([^A-Za-z0-9_]|\$)" "$file" |
        sed 's/$/   <- a note for later/' || true
    case $file in
    *.json | *.jsonl | *.txt) continue ;; # data keeps the bytes it came with
    esac
    LC_ALL=C grep -HnE '[[:blank:]]+$' "$file" | sed 's/$/<- blanks at the end/' || true
    [ "$(tail -c 1 "$file" | wc -l)" -eq 1 ] || echo "$file: no newline at the end"
done <"$list" >"$found"
cat "$found"
echo "$(wc -l <"$list") files, $(wc -l <"$found") findings"
[ ! -s "$found" ]
