#!/bin/sh
# The README is true where it can be compared: every setting with its default, every command.
# Usage: test_readme.sh PLAIT SOURCE
set -u
plait=$(readlink -f "$1")
readme=$2/README.md
. "$(dirname "$(readlink -f "$0")")/check.sh"

printf 'run.dir: x\nmodel.path: y\ndata.train_files: [z]\n' >least.yaml
expect 0 "$plait" up least.yaml --dry-run
sed -n 's/^\([a-z][A-Za-z0-9_.]*\): \(.*\)$/| `\1` | `\2` |/p' out |
    grep -v -e '^| `run.dir`' -e '^| `model.path`' -e '^| `data.train_files`' >settings
ok 'there are settings' test "$(wc -l <settings)" -gt 60
while IFS= read -r row; do
    has "$readme" "$row"
done <settings
ok 'the README has no others' test $(($(wc -l <settings) + 3)) -eq \
    "$(grep -c -e '^| `[a-z_]*\.[A-Za-z0-9_.]*` | `' -e '^| `[a-z_.]*` | must be given' "$readme")"

expect 0 "$plait" help
sed -n 's/^  \([a-z]*\)  .*/\1/p' out | grep -v -x -e help -e version >commands
ok 'there are commands' test "$(wc -l <commands)" -gt 5
while IFS= read -r command; do
    has "$readme" "| \`plait $command"
done <commands

finish
