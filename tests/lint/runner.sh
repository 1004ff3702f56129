#!/bin/sh
# tests/run gives failure for whatever does not go well, and counts right: it runs here on a small
# project whose tests pass, fail, crash, hang, are skipped, or do not build.
set -u
here=$(dirname "$(readlink -f "$0")")
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
wrong=0 suite=unit stage=gcc
# What tells meson how to behave when it runs within a test of its own.
unset MESON_TESTTHREADS MALLOC_PERTURB_ CFLAGS LDFLAGS

mkdir -p "$tree/tests" "$tree/deploy"
cp "$here/../run" "$tree/tests/run"
# shellcheck disable=SC2016 # expanded when it runs
printf '#!/bin/sh\nexit "${INSTALL_STATUS-0}"\n' >"$tree/deploy/install-deps.sh"
chmod +x "$tree/deploy/install-deps.sh"
cat >"$tree/meson.options" <<'END'
option('tests', type: 'boolean', value: true)
option('benchmarks', type: 'boolean', value: true)
END
ln -s meson.options "$tree/meson_options.txt"
cat >"$tree/main.c" <<'END'
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc < 2)
        return 1;
    if (strcmp(argv[1], "cmocka-pass") == 0)
        fprintf(stderr, "[  PASSED  ] 3 test(s).\n");
    if (strcmp(argv[1], "cmocka-skip") == 0)
        fprintf(stderr, "[  PASSED  ] 2 test(s).\n[  SKIPPED ] 1 test(s), listed below:\n");
    if (strcmp(argv[1], "cmocka-fail") == 0)
        fprintf(stderr, "[  PASSED  ] 2 test(s).\n[  FAILED  ] 2 test(s), listed below:\n");
    if (strcmp(argv[1], "quote") == 0)
        printf("\"result\": \"OK\", \"name\": \"x\"\n");
    if (strcmp(argv[1], "crash") == 0)
        return raise(SIGSEGV);
    if (strcmp(argv[1], "hang") == 0)
        pause();
    if (strcmp(argv[1], "skip") == 0) {
        printf("skipped: this needs \"root\"\nand more\n");
        return 77;
    }
    return strstr(argv[1], "fail") || strcmp(argv[1], "quote") == 0;
}
END

# expect STATUS "LAST LINE" "TEXT IN THE OUTPUT" TEST...
expect() {
    status=$1 last=$2 text=$3
    shift 3
    {
        echo "project('p', 'c')"
        echo "exe = executable('main', 'main.c')"
        for name in "$@"; do
            echo "test('$name', exe, args: '$name', suite: '$suite', timeout: 1)"
        done
    } >"$tree/meson.build"
    "$tree/tests/run" --only "$stage" >"$tree/log" 2>&1
    found=$?
    if [ $found -eq "$status" ] && [ "$(tail -n 1 "$tree/log")" = "$last" ] &&
        grep -qF -e "$text" "$tree/log"; then
        echo "ok      $text: $last"
    else
        echo "WRONG   status $found, should be $status; last line '$last' and '$text' expected:"
        cat "$tree/log"
        wrong=$((wrong + 1))
    fi
}

expect 0 "6 passed, 0 failed, 2 skipped" "==== 1 of 1: gcc" pass cmocka-pass cmocka-skip skip
# Two of the failures and two passes are those that cmocka-fail tells of.
expect 1 "3 passed, 6 failed, 0 skipped" "FAILED  gcc: hang (TIMEOUT, signal 15)" \
    fail cmocka-fail crash hang quote pass
expect 1 "0 passed, 0 failed, 1 skipped" "No test ran." skip
expect 0 "1 passed, 0 failed, 1 skipped" "SKIPPED  gcc: skip: this needs \"root\"" skip pass
# What is in the suite full runs in its stage only.
suite=full
expect 1 "0 passed, 1 failed, 0 skipped" "FAILED  gcc: no test ran" pass
stage=full
expect 0 "1 passed, 0 failed, 0 skipped" "==== 1 of 1: full" pass
suite=unit
expect 1 "0 passed, 1 failed, 0 skipped" "FAILED  full: no test ran" pass
stage=gcc
expect 1 "0 passed, 1 failed, 0 skipped" "FAILED  gcc: no test ran"
echo "int main(void) { return undeclared; }" >"$tree/main.c"
expect 1 "0 passed, 1 failed, 0 skipped" "FAILED  gcc: it does not build" pass
echo "int main(void) { return 0; } int unused(int x) { int y; return x; }" >"$tree/main.c"
export CFLAGS=-Wall
rm -rf "$tree/build"
expect 1 "0 passed, 1 failed, 0 skipped" "FAILED  gcc: it does not build" warning
export INSTALL_STATUS=1
expect 1 "0 passed, 1 failed, 0 skipped" "FAILED  packages: they could not be installed" pass

echo "$wrong wrong"
[ $wrong -eq 0 ]
