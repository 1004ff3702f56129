#!/bin/sh
# Shell scripts are as shellcheck likes them. Usage: shell.sh [ROOT]
# Exit status 77, a skip, where there is no shellcheck.
set -eu
here=$(dirname "$(readlink -f "$0")")
root=${1:-$(readlink -f "$here/../..")}
. "$here/files.sh"

if ! command -v shellcheck >/dev/null; then
    echo "skipped: shellcheck is not installed (deploy/install-deps.sh --test installs it)"
    exit 77
fi
cd "$root"
list=$(mktemp)
trap 'rm -f "$list"' EXIT
list_files | while IFS= read -r file; do
    case $file in
    *.sh) echo "$file" ;;
    *.*) ;;
    *) head -n 1 "$file" | LC_ALL=C grep -aqE '^#!.*/(ba)?sh( |$)' && echo "$file" ;;
    esac || true
done >"$list"
count=$(wc -l <"$list")
if [ "$count" -eq 0 ]; then
    echo "no shell scripts were found: is this the right folder?"
    exit 1
fi
tr '\n' '\0' <"$list" |
    xargs -0 shellcheck --severity=warning --exclude=SC1007 --external-sources --source-path=SCRIPTDIR
echo "$count scripts are fine"
