#!/bin/sh
# Every .c and .h file is as clang-format writes it. Usage: format.sh [ROOT]
# Exit status 77, a skip, where there is no clang-format.
set -eu
here=$(dirname "$(readlink -f "$0")")
root=${1:-$(readlink -f "$here/../..")}
. "$here/files.sh"

if ! command -v clang-format >/dev/null; then
    echo "skipped: clang-format is not installed (deploy/install-deps.sh --test installs it)"
    exit 77
fi
cd "$root"
list=$(mktemp)
trap 'rm -f "$list"' EXIT
list_files '*.c' '*.h' >"$list"
count=$(wc -l <"$list")
if [ "$count" -eq 0 ]; then
    echo "no source files were found: is this the right folder?"
    exit 1
fi
tr '\n' '\0' <"$list" | xargs -0 clang-format --dry-run -Werror --style=file
echo "$count files are formatted"
