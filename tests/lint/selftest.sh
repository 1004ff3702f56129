#!/bin/sh
# Each lint fails on what it is there to find, planted into a small tree, and passes without it.
set -eu
here=$(dirname "$(readlink -f "$0")")
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failures=0

fresh() {
    rm -rf "$tree"
    mkdir -p "$tree/common/base" "$tree/common/math" "$tree/common/text" "$tree/actor" "$tree/learner"
    cp "$here/../../.clang-format" "$tree/"
    printf 'int pl_a(void);\n' >"$tree/common/base/a.h"
    printf 'int pl_t(void);\n' >"$tree/common/text/t.h"
    printf 'int pl_l(void);\n' >"$tree/learner/l.h"
    printf '#include "common/base/a.h"\n\n#include <cblas.h>\n' >"$tree/common/math/gemm.c"
    printf '#include "common/text/t.h"\n' >"$tree/actor/b.c"
    printf '#!/bin/sh\necho "$1"\n' >"$tree/actor/script"
    for folder in common/base common/math common/text actor learner; do
        echo "# $folder" >"$tree/$folder/README.md"
    done
}

# expect pass|fail LINT WHAT
expect() {
    status=0
    sh "$here/$2" "$tree" >"$tree.log" 2>&1 || status=$?
    if [ $status -eq 77 ]; then
        echo "skipped $2: $3"
    elif { [ "$1" = pass ] && [ $status -eq 0 ]; } || { [ "$1" = fail ] && [ $status -eq 1 ]; } ||
        { [ "$1" = fail ] && [ $status -eq 123 ]; }; then # 123: from xargs
        echo "ok      $2: $3"
    else
        echo "WRONG   $2: $3: should $1, exit status $status"
        cat "$tree.log"
        failures=$((failures + 1))
    fi
    rm -f "$tree.log"
    fresh
}

fresh
for lint in includes.sh format.sh repo.sh shell.sh; do
    expect pass $lint "a clean tree"
done

printf '#include "actor/b.c"\n' >"$tree/common/base/b.c"
expect fail includes.sh "an include that goes up"
printf '#include "common/text/t.h"\n' >"$tree/common/math/b.c"
expect fail includes.sh "an include across a floor"
printf '#include "learner/l.h"\n' >"$tree/actor/c.c"
expect fail includes.sh "actor includes learner"
printf '#include "common/base/gone.h"\n' >"$tree/actor/c.c"
expect fail includes.sh "an include of nothing"
printf '#include "l.h"\n' >"$tree/learner/l.c"
expect fail includes.sh "an include not from the root"
printf '#include <cblas.h>\n' >"$tree/common/math/ops.c"
expect fail includes.sh "cblas.h outside gemm.c"
find "$tree" -name '*.[ch]' -delete
expect fail includes.sh "a tree without sources"

printf 'int   a ;\n' >"$tree/actor/c.c"
expect fail format.sh "a file not formatted"

printf '/* %s: later */\n' 'TO''DO' >"$tree/actor/c.c"
expect fail repo.sh "a note for later"
printf 'int a; \n' >"$tree/actor/c.c"
expect fail repo.sh "a blank at a line end"
printf '/* \bboxed */\n' >"$tree/actor/c.c"
expect fail repo.sh "a control character"
printf '/*\n *   one   the first of\n * two\n */\n' >"$tree/actor/c.c"
expect fail repo.sh "a table in a comment that a formatter ran together"
printf '/*\n *   one   the first of\n *         two\n *\n * And so on.\n */\n' >"$tree/actor/c.c"
expect pass repo.sh "a table in a comment"
printf '/*\n *   y[n]  = x[n] r[n]\n *   dw   += dy x, which is a line as long as those that a formatter would break, 100 columns and more\n */\n' >"$tree/actor/c.c"
expect pass format.sh "a formula in a comment, longer than a line"
printf 'int a;' >"$tree/actor/c.c"
expect fail repo.sh "a last line without its end"
printf '\177ELF\000\001\n' >"$tree/actor/c.o"
expect fail repo.sh "a binary file"
printf '\177ELF\000' >"$tree/actor/c.txt"
expect fail repo.sh "a binary file without lines"
rm "$tree/common/math/README.md"
expect fail repo.sh "a folder without README.md"
head -c 1048577 /dev/zero | tr '\0' 'a' >"$tree/big.txt"
expect fail repo.sh "a large file"

: >"$tree/actor/empty.c"
expect pass repo.sh "an empty file"
mkdir -p "$tree/tests/fuzz/corpus/x"
printf '\0 \n %s ' 'TO''DO' >"$tree/tests/fuzz/corpus/x/y"
echo "# tests" >"$tree/tests/README.md"
expect pass repo.sh "any bytes in a corpus"

printf '#!/bin/sh\ncd $1; echo ${x\n' >"$tree/actor/script"
expect fail shell.sh "a script that is broken"
printf 'cd $1\nrm -rf "$1/"*\n' >"$tree/actor/script.sh"
expect fail shell.sh "a script that shellcheck warns of"
find "$tree" -name 'script' -delete
expect fail shell.sh "a tree without scripts"

echo "$failures wrong"
[ $failures -eq 0 ]
