#!/bin/sh
# What does not belong into the tree: large files, binaries, control characters, notes for later, blanks at line
# ends, comments whose tables and formulas a formatter ran together.
# And what does: a README.md in each folder. Usage: repo.sh [ROOT]
set -eu
here=$(dirname "$(readlink -f "$0")")
root=${1:-$(readlink -f "$here/../..")}
. "$here/files.sh"

cd "$root"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
list_files '*' >"$work/all"
if [ ! -s "$work/all" ]; then
    echo "no files were found: is this the right folder?"
    exit 1
fi
notes='TO''DO|FIX''ME|XX''X' # split, or this file would be found
# Bytes that no text tool would like are the point of a corpus; data keeps the bytes it came with.
grep -v '^tests/fuzz/corpus/' "$work/all" >"$work/texts" || true
grep -vE '\.(jsonl?|txt)$' "$work/texts" >"$work/ours" || true
grep -E '\.[ch]$' "$work/ours" >"$work/c" || true

# each LIST COMMAND...: the command with all files of a list behind it
each() {
    tr '\n' '\0' <"$work/$1" >"$work/args"
    shift
    LC_ALL=C xargs -0 -r "$@" <"$work/args" || true
}

not_empty() { # FINDING: of the files listed on standard input that are not empty
    while IFS= read -r file; do
        [ ! -s "$file" ] || echo "$file: $1"
    done
}

{
    each all stat -c '%s %n' | awk '$1 > 1048576 { print $2 ": " $1 " bytes; over 1 MiB" }'
    each texts grep -LI '' | not_empty "a binary file"
    each texts grep -HnIE "(^|[^A-Za-z0-9_])($notes)([^A-Za-z0-9_]|\$)" |
        sed '/^LICENSE:/d; s/$/   <- a note for later/'
    each ours grep -HnIE '[[:blank:]]+$' | sed 's/$/<- blanks at the end/'
    each ours grep -LzP '\n\z' | not_empty "no newline at the end"
    each ours grep -HnP '[\x00-\x08\x0b-\x1f\x7f]' | cat -v | sed 's/$/   <- a control character/'
    # A formula, table or list in a comment that a formatter ran together: what begins deep goes on at the margin.
    each c awk 'FNR == 1 { deep = 0 }
        deep && /^ *\* [^ ]/ { print FILENAME ":" FNR ": " $0 "   <- runs into the indented line above it" }
        { deep = /^ *\*   +[^ ]/ }'
    for folder in common/*/ actor/ learner/ rewarder/ proto/ deploy/ tests/; do
        [ ! -d "$folder" ] || [ -f "${folder}README.md" ] || echo "$folder: no README.md"
    done
} >"$work/found"
cat "$work/found"
echo "$(wc -l <"$work/all") files, $(wc -l <"$work/found") findings"
[ ! -s "$work/found" ]
