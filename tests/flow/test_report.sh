#!/bin/sh
# `plait report` from outside: the figures that it shows, of one run and of several, of a run that is
# still at work; hostile texts everywhere; pages that are well-formed and fetch nothing.
# Usage: test_report.sh PLAIT JSON
set -u
plait=$(readlink -f "$1")
json=$(readlink -f "$2")
. "$(dirname "$(readlink -f "$0")")/check.sh"

report() {
    want=$1
    shift
    expect "$want" "$plait" report "$@"
}

# at PATH TEXT: what stands there in ./out
at() {
    checks=$((checks + 1))
    found=$("$json" "$1" <out)
    [ "$found" = "$2" ] || wrong "$1 is $found, not $2"
}

# page FILE: it is well-formed, for HTML and XML, and of itself alone
page() {
    if command -v xmllint >/dev/null; then
        ok "$1 is well-formed" xmllint --noout --nonet "$1"
    else
        unchecked="well-formed pages (xmllint is not installed: deploy/install-deps.sh --test)"
    fi
    sed -e 's|xmlns="http://www.w3.org/1999/xhtml"||' \
        -e 's|xmlns="http://www.w3.org/2000/svg"||g' "$1" >"$1.rest"
    for word in http: https: 'url(' @import '<script' '<link' '<img' '<iframe'; do
        lacks "$1.rest" "$word"
    done
    lacks "$1" nan
    ok "$1 has no attribute that fetches or runs" sh -c \
        "! grep -qE '<[a-zA-Z]+[^>]* (src|on[a-z]+|action|href=\"[^#])' '$1'"
    ok "$1 has no control characters" sh -c "! tr -d '\t' <'$1' | LC_ALL=C grep -q '[[:cntrl:]]'"
    ok "$1 is UTF-8" iconv -f UTF-8 -t UTF-8 "$1"
}
unchecked=

# run NAME SEED ACCURACY: the folder of a run of 40 steps
run() {
    mkdir -p "runs/$1/rollouts" "runs/$1/best" "runs/$1/model"
    cat >"runs/$1/config.yaml" <<END
# ---- Run ----

run.name: $1
run.dir: somewhere/else
run.seed: $2
model.path: warm/model
data.method: interleave
algorithm.adv_estimator: grpo
reward.intermediate: conditional
reward.strategy: time
reward.base: 0.5
trainer.total_training_steps: 40
END
    awk -v a="$3" 'BEGIN {
        for (s = 0; s <= 40; s++) {
            if (s > 0)
                printf "{\"training/global_step\": %d, \"interleave/accuracy\": %.4f, " \
                    "\"critic/score/mean\": %.4f, \"interleave/reward_format\": 1, " \
                    "\"interleave/gate\": %d, \"training/off_policy/staleness\": 1, " \
                    "\"perf/total_num_tokens\": 500, \"timing_s/step\": 2, \"timing_s/wait\": 0.5, " \
                    "\"timing_s/update_actor\": 1.25, \"response_length/mean\": 60, " \
                    "\"actor/entropy\": null}\n", s, a * s / 40, s / 10, s % 2
            if (s % 20 == 0)
                printf "{\"training/global_step\": %d, \"val-core/acc\": %.4f, " \
                    "\"val-core/kk/acc/mean@1\": %.4f, \"val-core/kk-2/acc/mean@1\": %.4f, " \
                    "\"val-core/kk-3/acc/mean@1\": 0.125, \"interleave/ttfa\": 0.25, " \
                    "\"response_length/mean\": 61.5}\n", s, a * s / 40, a * s / 40, a
        }
    }' >"runs/$1/metrics.jsonl"
    printf '{"step": 20, "accuracy": 0.4375}\n' >"runs/$1/best/evaluation.json"
    : >"runs/$1/model/config.json"
    cat >"runs/$1/rollouts/40.jsonl" <<'END'
{"group":"40:0","sample":0,"version":40,"actor":"actor-1","finish_reason":"stop","prompt":"who is what ?","response":"<think>by carl</think><answer> carl is a knave</answer><think>so</think><answer> jack is a knight</answer><|im_end|>","reward":3.25,"reward_format":1,"reward_final":2,"reward_intermediate":0.25,"reward_extra":0,"gate":true,"format_ok":true,"verdict":"right","steps":2,"steps_right":1,"first_answer":5,"tokens":21,"why":"","segments":[{"kind":"think","tokens":[0,4],"step":-1,"verdict":"none"},{"kind":"answer","tokens":[4,10],"step":0,"verdict":"right","reward":0.25,"charge":0},{"kind":"think","tokens":[10,14],"step":-1,"verdict":"none"},{"kind":"answer","tokens":[14,20],"step":-1,"verdict":"right"}],"task":"kk-2-7","source":"kk","level":"2","truth":"carl is a knave and jack is a knight"}
{"group":"40:2","sample":0,"gate":false,"prompt":"p","response":"<think>a</think><answer>b</answer><think>c</think><answer>d</answer>","reward":3,"reward_format":1,"reward_final":2,"reward_intermediate":0.5,"verdict":"right","tokens":9,"segments":[{"kind":"think"},{"kind":"answer","step":1,"verdict":"right","reward":0.5,"charge":-0.125},{"kind":"think"},{"kind":"answer","step":-1,"verdict":"right"}],"source":"kk","level":"2"}
{"group":"40:1","sample":0,"version":40,"actor":"actor-1","finish_reason":"length","prompt":"who else ?","response":"<think>hm","reward":-1,"reward_format":-1,"reward_final":0,"reward_intermediate":0,"reward_extra":0,"gate":true,"format_ok":false,"verdict":"none","steps":2,"steps_right":0,"first_answer":-1,"tokens":64,"why":"<think> is never closed","segments":[],"task":"kk-3-9","source":"kk","level":"3","truth":"nobody"}
END
    awk 'BEGIN {
        for (i = 0; i < 200; i++)
            printf "{\"group\":\"e40:%d\",\"verdict\":\"%s\",\"source\":\"kk\",\"level\":\"%d\"," \
                "\"tokens\":%d,\"response\":\"r%d\"}\n", i, i % 2 ? "right" : "wrong", \
                i < 100 ? 2 : 3, 40 + i % 10, i
    }' >"runs/$1/rollouts/e40.jsonl"
}

# One run.
run demo 1 0.5
report 0 runs/demo
silent err
ok 'a line says what was made' grep -q '^report.html: 1 run, [1-9][0-9]* plots, [1-9][0-9]* KB$' out
page report.html
has report.html '<h1>demo</h1>'
has report.html '<dt>intermediate reward</dt><dd>conditional, time</dd>'
has report.html '<dt>steps</dt><dd>40 of 40</dd>'
has report.html '<dt>accuracy</dt><dd>0.500 (0.431 to 0.569)</dd>' # Wilson, 100 of 200
has report.html '<dt>best</dt><dd>0.438</dd>'
has report.html '<dt>ttfa</dt><dd>0.250</dd>'
has report.html '<dt>tokens</dt><dd>20.0k</dd>'
has report.html '<b>Accuracy by difficulty</b>'
has report.html '<title>kk-3, step 40: 0.125 (0.07' # 100 of them, more or less
has report.html 'Staleness 1'
has report.html 'Not among the metrics, and so left out: Valid form'
ok 'entropy has no value, and so no plot' grep -q 'left out: .*Entropy' report.html
has report.html '>62 %</text>'            # of a step's time goes into the policy
has report.html '<td class="r">1.25</td>' # and so many seconds
has report.html 'answer 1: ✓ right, truth 1, +0.25'
has report.html 'final answer: ✓ right, +2'
has report.html 'answer 1: ✓ right, truth 2, +0.5 (not paid: the gate was shut), charged -0.125'
has report.html 'intermediate +0.5 (not paid: the gate was shut)'
has report.html 'reward <b>3.25</b> = format +1, final +2, intermediate +0.25'
has report.html 'why: &lt;think&gt; is never closed'
has report.html 'truth: carl is a knave and jack is a knight'
has report.html 'cut off at the limit'
has report.html '<div class="seg stop">&lt;|im_end|&gt;</div>'
has report.html 'Evaluation after step 40: 100 of 200 samples are right; shown: 2 right, 2 wrong'
has report.html '<th scope="row">reward.strategy</th><td>time</td>'
cp report.html first.html
report 0 runs/demo
ok 'the same run gives the same page' cmp report.html first.html
report 0 runs/demo --samples 0 --title 'A <title>' --output other.html
page other.html
has other.html '<h1>A &lt;title&gt;</h1>'
lacks other.html 'article'

report 0 runs/demo --json
silent err
ok 'no page was asked for' cmp report.html first.html
at runs.0.name demo
at runs.0.figures.accuracy.value 0.5
at runs.0.figures.tokens_per_s 250.0
at runs.0.levels.kk-3.value 0.125
at runs.0.step_s.waiting 0.5
at "runs.0.step_s.the rest" 0.25
at runs.0.metrics.evaluation.val-core/acc '{"step":[0.0,20.0,40.0],"mean":[0.0,0.25,0.5]}'
at runs.0.rollouts.train.right 2
at runs.0.rollouts.evaluation.samples 200
at runs.0.settings.run.seed '' # a dot is a step to the reader; the key is there as it is
ok 'settings by their names' grep -q '"run.seed": "1"' out
at differences '{}'
report 0 runs/demo --json --output third.html
ok 'both, when both are asked for' cmp third.html first.html

# Several.
run other-of-a-longer-name 2 0.75
report 0 runs/demo runs/other-of-a-longer-name --output two.html
page two.html
has two.html '<th scope="row">run.seed</th><td>1</td><td>2</td>'
lacks two.html '<th scope="row">run.dir</th><td>somewhere/else</td><td>somewhere/else</td>'
has two.html 'In plots, A is demo; B is other-of-a-longer-name'
has two.html '<th scope="row">accuracy</th><td>0.500 (0.431 to 0.569)</td><td>0.750 (0.686 to 0.805)</td>'
has two.html '<b>Accuracy: kk-2</b>'
has two.html '<b>Accuracy by difficulty, last evaluation</b>'
report 0 runs/demo runs/other-of-a-longer-name --json
at differences '{"run.seed":["1","2"]}'
set -- runs/demo runs/demo runs/demo
report 0 "$@" "$@" "$@" --output nine.html
page nine.html
has nine.html '<th scope="col">run</th><th scope="col">method</th>' # too many for a column each
has nine.html '</svg>demo (2)</th>'
has nine.html '</svg>demo (9)</th>'

# At work: nothing but a beginning.
mkdir -p runs/young
printf 'run.name: young\n' >runs/young/config.yaml
report 0 runs/young --output young.html
page young.html
has young.html '<h1>young</h1>'
has young.html 'It has no rollouts.'
printf '{"training/global_step": 1, "critic/score/mean": 0.5}\n{"training/global_step": 2, "cri' \
    >runs/young/metrics.jsonl
report 0 runs/young --output young.html
page young.html
has young.html 'the last one is not whole yet'
has young.html '(not finished)'
report 0 runs/young runs/demo --output young.html
page young.html

# Hostile texts: names, settings, metrics, rollouts.
mkdir -p runs/bad/rollouts
printf 'run.name: "</title><script>alert(1)</script>"\ndata.method: "\\"><img src=x onerror=alert(2)>"\n"<b>key": "a\\tb \\x01 \\x7f \\u0085"\nmodel.path: "&#x3c;script&#x3e; ]]> <!--"\n' \
    >runs/bad/config.yaml
{
    printf '{"training/global_step": 1, "<script>": 1, "interleave/accuracy": 0.5, "val-x": 0}\n'
    printf '{"training/global_step": 2, "val-core/<script>alert(3)</script>-2/acc/mean@1": 0.5}\n'
} >runs/bad/metrics.jsonl
printf '{"group":"1:0","verdict":"right\\"><script>","prompt":"<script>\\u0001\\u001b[31m","response":"<think>\\u0007</think><answer><script>alert(4)</script>\377\303(</answer>","why":"<svg onload=alert(5)>","finish_reason":"\\u202e<i>","task":"\357\277\276","truth":"<!--","level":"<u>","source":"\\"","segments":[{"kind":"think"},{"kind":"answer","step":1e308,"verdict":"<em>","reward":"<em>","charge":-0.5}],"reward":1e308,"steps":-1,"tokens":1e300}\n' >runs/bad/rollouts/1.jsonl
printf '{"group":"1:0","verdict":"<s>","prompt":7,"response":{},"segments":"<s>"}\n' >>runs/bad/rollouts/1.jsonl
cp runs/bad/rollouts/1.jsonl runs/bad/rollouts/e1.jsonl
report 0 runs/bad --output bad.html
page bad.html
has bad.html '<h1>&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt;</h1>'
has bad.html '&lt;script&gt;alert(4)&lt;/script&gt;��('
has bad.html '&lt;svg onload=alert(5)&gt;'
has bad.html '&lt;b&gt;key'
for tag in '<b>key' '<img' '<svg onload' '<em>' '<u>' '<s>' '<i>' '<!--'; do
    lacks bad.html "$tag"
done
report 0 runs/bad runs/demo --output bad.html
page bad.html
report 0 runs/bad --json
ok 'its JSON can be read' "$json" . <out
printf 'run.name: <script>alert(6)</script>\n\tno: YAML\377\n' >runs/bad/config.yaml
report 0 runs/bad --output bad.html
page bad.html
has bad.html 'settings as far as they can be read'

# What is no run, and where nothing can be written.
report 2
has err RUN
mkdir empty
report 1 empty
has err "'empty' is not the folder of a run: it has neither config.yaml nor metrics.jsonl"
one_sentence
report 1 runs/demo nowhere
has err "'nowhere' is not the folder of a run"
one_sentence
report 1 runs/demo --output nowhere/report.html
has err nowhere/report.html
one_sentence
silent out

[ -z "$unchecked" ] || echo "not checked: $unchecked"
finish
