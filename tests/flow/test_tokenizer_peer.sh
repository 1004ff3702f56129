#!/bin/sh
# A tokenizer.json that plait writes, and the one of Qwen2.5 where it is there, loaded by another
# implementation: the same ids for many texts. Usage: test_tokenizer_peer.sh PLAIT SOURCE CACHE
# Exit status 77, a skip, without node, npm or the registry of npm.
set -u
plait=$(readlink -f "$1")
source=$(readlink -f "$2")
cache=$3
name=@huggingface/tokenizers
version=0.2.0 # JavaScript alone, needs nothing else

skip() {
    echo "skipped: $1"
    exit 77
}

command -v node >/dev/null || skip "there is no node (deploy/install-deps.sh --test installs it)"
command -v npm >/dev/null || skip "there is no npm (deploy/install-deps.sh --test installs it)"
package=$cache/node_modules/$name
if ! grep -qs "\"version\": \"$version\"" "$package/package.json"; then
    mkdir -p "$cache"
    npm install --prefix "$cache" --no-audit --no-fund --no-save --ignore-scripts --fetch-retries=1 \
        --fetch-timeout=20000 "$name@$version" >"$cache/npm.log" 2>&1 </dev/null ||
        skip "npm cannot install $name: $(grep -m 1 -i error "$cache/npm.log")"
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
peer=$source/tests/flow/tokenizer_peer.mjs
texts=$dir/texts
failures=0
node "$peer" texts >"$texts" || exit 1
[ "$(wc -l <"$texts")" -eq 3000 ] || exit 1

# compare FOLDER: the ids of all texts, and the texts back from them
compare() {
    "$plait" tokenizer encode "$1" "$texts" --input json >"$dir/ours" || exit 1
    node "$peer" encode "$package" "$1" "$texts" >"$dir/theirs" || exit 1
    if cmp -s "$dir/ours" "$dir/theirs"; then
        echo "$1: $(wc -l <"$texts") texts, $(tr -cd , <"$dir/ours" | wc -c) ids: the same"
        return
    fi
    failures=$((failures + 1))
    echo "$1: ids differ; first text, plait's ids, the other's:"
    paste -d '\n' "$texts" "$dir/ours" "$dir/theirs" |
        awk 'NR % 3 == 1 { text = $0 } NR % 3 == 2 { ours = $0 }
             NR % 3 == 0 && $0 != ours { print text; print ours; print; exit }'
}

cat "$source"/*.md "$source"/common/*/*.[ch] >"$dir/corpus"
"$plait" tokenizer train --quiet --size 2000 --token '<think>' --token '</think>' \
    --output "$dir/own" "$dir/corpus" || exit 1
compare "$dir/own"
"$plait" tokenizer train --quiet --size 259 --output "$dir/bytes" "$dir/corpus" || exit 1
compare "$dir/bytes"
qwen=${PLAIT_TEST_DATA:-nowhere}/qwen2.5-tokenizer
if [ -e "$qwen/tokenizer.json" ]; then
    compare "$qwen"
else
    echo "not compared: there is no '$qwen'"
fi
[ $failures -eq 0 ]
