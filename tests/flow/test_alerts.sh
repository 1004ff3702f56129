#!/bin/sh
# The alerts: their form, each raised where it should be and not where it should not, each with a
# page that says what to do; the file of targets.
# Usage: test_alerts.sh SOURCE
set -u
source=$(readlink -f "$1")
. "$(dirname "$(readlink -f "$0")")/check.sh"
prometheus=$source/deploy/prometheus

# Names in the rules, the tests and the README are the same.
sed -n 's/^ *- alert: //p' "$prometheus/alerts.yaml" | sort >names
ok 'there are alerts' test "$(wc -l <names)" -ge 10
sed -n 's/^## //p' "$prometheus/README.md" | grep -x 'Plait[A-Za-z]*' | sort >pages
ok 'each has a page' cmp names pages
grep -A 1 'alertname: ' "$source/tests/flow/alerts_test.yaml" | awk '
    /alertname/ { name = $0; sub(/.*alertname: */, "", name); sub(/[}].*/, "", name) }
    /exp_alerts/ { print name }' | sort -u >raised
ok 'each is raised in a test' cmp names raised
sed -n 's/.*{eval_time.*alertname: \([A-Za-z]*\)}.*/\1/p' "$source/tests/flow/alerts_test.yaml" |
    sort -u >quiet
ok 'each is not raised in a test' cmp names quiet
while IFS= read -r name; do
    has "$prometheus/alerts.yaml" "README.md, $name\""
done <names

# Where programs listen, as Redis has it; what is no address, whoever wrote it, is left out.
mkdir bin
cat >bin/redis-cli <<'END'
#!/bin/sh
case "$*" in
*--scan*) printf 'plait:{r}:worker:a\nplait:{r}:worker:b\nplait:{r}:worker:c\n' ;;
*':run http') echo 127.0.0.1:9640 ;;
*':worker:a http') echo '[::1]:9641' ;;
*':worker:b http') printf '10.0.0.1:9"\n- targets: ["x"]\n' ;;
*) echo ;;
esac
END
chmod +x bin/redis-cli
expect 0 env PATH="$dir/bin:$PATH" "$prometheus/targets" r
is out '- targets:
      - "127.0.0.1:9640"
      - "[::1]:9641"'
printf '#!/bin/sh\necho\n' >bin/redis-cli
expect 1 env PATH="$dir/bin:$PATH" "$prometheus/targets" r
has err 'Redis knows of no program of this run that listens'
expect 1 "$prometheus/targets"
has out 'targets RUN'

if ! command -v promtool >/dev/null; then
    [ $failures -eq 0 ] || finish
    echo "skipped: promtool (Debian's package prometheus) is not installed: the rules themselves were not tried"
    exit 77
fi
cp "$prometheus/alerts.yaml" "$prometheus/prometheus.yml" "$source/tests/flow/alerts_test.yaml" .
expect 0 promtool check rules alerts.yaml
has out "SUCCESS: $(wc -l <names) rules found"
expect 0 promtool check config prometheus.yml
expect 0 promtool test rules alerts_test.yaml
has out SUCCESS
finish
