# shellcheck shell=sh disable=SC2154
# Sourced by the lints: lists files of the tree at $root, one a line, relative to it.
# What git knows or would take is listed, or all that is there where git is of no use.

# list_files PATTERN...: shell patterns of base names; none: all files
list_files() {
    if git -C "$root" rev-parse --is-inside-work-tree >/dev/null 2>&1 &&
        [ "$(git -C "$root" rev-parse --show-prefix)" = "" ]; then
        git -C "$root" ls-files --cached --others --exclude-standard
    else
        (cd "$root" && find . -name .git -prune -o -path './build*' -prune -o -type f -print) |
            sed 's,^\./,,'
    fi | while IFS= read -r file; do
        if [ ! -f "$root/$file" ] || [ -L "$root/$file" ]; then
            continue
        fi
        [ $# -gt 0 ] || printf '%s\n' "$file"
        for pattern in "$@"; do
            # shellcheck disable=SC2254
            case ${file##*/} in
            $pattern) printf '%s\n' "$file" ;;
            esac
        done
    done | sort
}
