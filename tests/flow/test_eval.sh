#!/bin/sh
# `plait eval` from outside: a model of which every response is known, so that every number of the
# table is; the same responses for any number of threads; configurations; errors; Ctrl-C.
# Usage: test_eval.sh PLAIT PARROT JSON
set -u
plait=$(readlink -f "$1")
parrot=$(readlink -f "$2")
json=$(readlink -f "$3")
. "$(dirname "$(readlink -f "$0")")/check.sh"
export OMP_WAIT_POLICY=passive
newline='
'

evaluate() {
    want=$1
    shift
    expect "$want" "$plait" eval "$@"
}

# at PATH TEXT: what stands there in ./out, its numbers cut to six decimals
at() {
    checks=$((checks + 1))
    found=$("$json" "$1" <out | sed -E 's/(\.[0-9]{6})[0-9]+/\1/g')
    [ "$found" = "$2" ] || wrong "$1 is $found, not $2"
}

# Asked 1: all is right, 8 tokens with the end, the first answer begins at token 2. 2: one role is
# right, the final answer is wrong; 3 tokens, an answer in the first. 3: no valid form, 2 tokens.
# 4: never ends.
"$parrot" model 100000 \
    '1=<think>a</think>~<answer>~Zoey is a knight~</answer>~<think>b</think> <answer>~Ben is a knave</answer>~<think>c</think><answer>(1) Zoey is a knight (2) Ben is a knave</answer>' \
    '2=<think>d</think><answer>Zoey is a knight</answer>~<think>e</think><answer>Zoey and Ben are knaves</answer>' \
    '3=<think>f</think>and nothing more' '4=round~ and~*' >log 2>&1 || {
    cat log
    exit 1
}
two='"answer": "(1) Zoey is a knight (2) Ben is a knave", "verifier": "kk", "source": "kk", "steps": [{"answer": "Zoey is a knight"}, {"answer": "Ben is a knave"}], "meta": {"people": 2}}'
three='"answer": "Ann is a knight, Bob is a knave, Cid is a knave", "verifier": "kk", "source": "kk", "steps": [{"answer": "Ann is a knight"}, {"answer": "Bob is a knave"}, {"answer": "Cid is a knave"}], "meta": {"people": 3}}'
{
    echo "{\"id\": \"t4\", \"question\": \"who is what? 4\", $three"
    echo "{\"id\": \"t1\", \"question\": \"who is what? 1\", $two"
    echo "{\"id\": \"t3\", \"question\": \"who is what? 3\", $three"
    echo "{\"id\": \"t2\", \"question\": \"who is what? 2\", $two"
} >tasks.jsonl

# The table, by hand; the intervals are Wilson's of 1/4, 1/2 and 0/2. Milliseconds are not known.
evaluate 0 model --data tasks.jsonl --max-tokens 8 --color never
silent err
has out 'model: 4 tasks, 1 sample each, interleave, greedy, seed 0; '
cp out table
sed -n 3,6p table >out
is out '     tasks  Pass@1   95 % interval  format  intermediate  truncated
all      4   0.250  0.046 to 0.699   0.500         0.300      0.250
2        2   0.500  0.095 to 0.905   1.000         0.750      0.000
3        2   0.000  0.000 to 0.658   0.000         0.000      0.500'
sed -E -n '8,$ s/^([^ ]+ +[^ ]+ +[^ ]+ +)[0-9]+\.[0-9]/\1MS/; 8,$ s/  +/ /gp' table >out
is out ' ttfa ttfa tok ttfa ms ttfa right length if right if wrong
all 0.125 1.0 MS 0.125 5.2 8.0 4.3
2 0.125 1.0 MS 0.125 5.5 8.0 3.0
3 - - - - 5.0 - 5.0'

# For scripts: the same and more.
evaluate 0 model --data tasks.jsonl --instruction none --max-tokens 8 --json --seed 7 \
    --out lines
silent err
at model model
at data '["tasks.jsonl"]'
at seed 7
at settings '{"method":"interleave","instruction":"none","template":"","n":1,"temperature":0.0,"top_p":1.0,"top_k":0,"min_p":0.0,"max_tokens":8,"max_prompt":99992,"limit":0,"slots":64,"config":null}'
at tasks 4
at left_out 0
at samples 4
at timing.tokens 21
for path in timing.seconds timing.tokens_per_s overall.ttfa_ms; do
    ok "$path is a number above 0" sh -c "'$json' $path <out | grep -Eqx '[0-9]*[1-9][0-9.e-]*|0\.[0-9e-]*[1-9]'"
done
sed 's/"ttfa_ms": [0-9][0-9.]*/"ttfa_ms": null/' out >result && cp result out
at overall '{"tasks":4,"samples":4,"pass_at_1":0.25,"interval":[0.045587,0.699358],"design_effect":1.0,"right":1,"unparsed":0,"truncated":1,"truncated_rate":0.25,"format_rate":0.5,"intermediate_accuracy":0.299999,"answers":1.25,"reward":0.25,"ttfa":0.125,"ttfa_tokens":1.0,"ttfa_ms":null,"ttfa_right":0.125,"ttfa_right_tokens":1.0,"response_length":5.25,"response_length_right":8.0,"response_length_wrong":4.333333}'
at levels.0 '{"tasks":2,"samples":2,"pass_at_1":0.5,"interval":[0.094531,0.905468],"design_effect":1.0,"right":1,"unparsed":0,"truncated":0,"truncated_rate":0.0,"format_rate":1.0,"source":"kk","level":"2","intermediate_accuracy":0.75,"answers":2.5,"reward":1.5,"ttfa":0.125,"ttfa_tokens":1.0,"ttfa_ms":null,"ttfa_right":0.125,"ttfa_right_tokens":1.0,"response_length":5.5,"response_length_right":8.0,"response_length_wrong":3.0}'
at levels.1.level 3
at levels.1.ttfa null
at levels.1.response_length_right null
at levels.2 ''

# Every response, in the order of the tasks.
cp lines out
at task "t4${newline}t1${newline}t3${newline}t2"
at level "3${newline}2${newline}3${newline}2"
at finish_reason "length${newline}stop${newline}stop${newline}stop"
at verdict "none${newline}right${newline}none${newline}wrong"
at reward "-1.0${newline}3.5${newline}-1.0${newline}-0.5"
at first_answer "-1${newline}2${newline}-1${newline}0"
at why "text outside of tags${newline}${newline}text outside of tags"
sed -n 2p lines >out
at prompt 'who is what? 1'
at response '<think>a</think><answer>Zoey is a knight</answer><think>b</think> <answer>Ben is a knave</answer><think>c</think><answer>(1) Zoey is a knight (2) Ben is a knave</answer><|endoftext|>'
at segments.1 '{"kind":"answer","tokens":[1,4],"step":0,"verdict":"right","reward":0.25,"charge":0.0,"text":"<answer>Zoey is a knight</answer>"}'
at segments.5.verdict right
at segments.6 ''

# Samples of one task that are all the same tell no more than one: the interval is as wide.
evaluate 0 model --data tasks.jsonl --max-tokens 8 --n 3 --json
at samples 12
at settings.temperature 1.0
at overall.design_effect 3.0
at overall.interval '[0.045587,0.699358]'
at overall.pass_at_1 0.25

# Other forms of response; fewer tasks; one difficulty alone has no row of its own.
evaluate 0 model --data tasks.jsonl --max-tokens 8 --method think-answer --json
at settings.method think-answer
at overall.format_rate 0.0
at overall.ttfa 0.125
evaluate 0 model --data tasks.jsonl --max-tokens 9 --method direct --json
at overall.format_rate 0.25
evaluate 0 model --data tasks.jsonl --max-tokens 8 --limit 1 --color never
ok 'a heading and one row' test "$(grep -c '' out)" -eq 7
has out ': 1 task, '

# A run's configuration: tasks, method, instruction, template, lengths and rewards, unless given.
printf 'Say it: ' >instruction
printf '<<{{user}}>>{{answer}}' >template # ">" has no script: the end comes at once
cat >run.yaml <<'END'
data: {val_files: [tasks.jsonl], max_response_length: 8, max_prompt_length: 13, method: think-answer,
       instruction: instruction}
reward: {format: 3}
END
evaluate 1 model --config run.yaml --json
has err 'none of 4 tasks is short enough'
evaluate 0 model --config run.yaml --json --max-prompt 30 --out lines
at settings.method think-answer
at settings.max_tokens 8
at settings.config run.yaml
at overall.reward -3.0
cp lines out
ok 'the instruction is in front' test \
    "$("$json" prompt <out | grep -A 2 '^Say it:$' | grep -c '^who is what? [1-4]$')" -eq 4
evaluate 0 model --config run.yaml --json --max-prompt 30 --method interleave --template template \
    --max-tokens 5 --data tasks.jsonl,tasks.jsonl
at tasks 8
at settings.template template
at overall.response_length 1.0
sed 's/who is/who, who is/; q' tasks.jsonl >longer.jsonl
evaluate 0 model --data longer.jsonl,tasks.jsonl --max-prompt 14 --max-tokens 8 --json \
    --instruction none
at left_out 1
at tasks 4
is err 'tasks left out: 1; their prompts have more than 14 tokens'

# Without a word about it, the instruction is plait's for the method.
evaluate 0 model --data tasks.jsonl --max-tokens 8 --limit 1 --quiet --out lines
cp lines out
ok "plait's instruction" sh -c "'$json' prompt <out | grep -q '<answer>'"

# Drawn responses: the same bytes for any threads and slots; another seed, other ones.
cat >config.json <<'END'
{"model_type": "qwen2", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
 "num_key_value_heads": 1, "intermediate_size": 48, "vocab_size": 300, "rope_theta": 10000.0,
 "max_position_embeddings": 256, "rms_norm_eps": 1e-6, "tie_word_embeddings": true}
END
expect 0 "$plait" tokenizer train --size 290 --field question --output tokenizer tasks.jsonl
expect 0 "$plait" model init config.json drawn --tokenizer tokenizer
draw() {
    name=$1
    shift
    evaluate 0 drawn --instruction none --data tasks.jsonl --max-tokens 24 --n 3 --temperature 0.9 --out "$name" --json \
        "$@"
    sed '/"seconds"\|"tokens_per_s"\|"ttfa_ms"\|"slots"/d' out >"$name.json"
}
draw first --threads 1 --slots 1
draw second --threads 3
ok 'the same responses' cmp first second
ok 'the same result' cmp first.json second.json
ok 'twelve of them' test "$(sort -u first | wc -l)" -eq 12
draw third --seed 1
ok 'other responses' sh -c '! cmp -s first third'

# Errors, each one sentence.
refuse() {
    status=$1 sentence=$2
    shift 2
    evaluate "$status" "$@"
    silent out
    one_sentence
    has err "$sentence"
}
refuse 2 "MODEL" --data tasks.jsonl
refuse 2 "--method" model --data tasks.jsonl --method spiral
refuse 1 'no tasks: --data FILE names them' model
refuse 1 "none.jsonl" model --data none.jsonl
refuse 1 "nowhere" nowhere --data tasks.jsonl
refuse 1 'the model has 100000 positions' model --data tasks.jsonl --max-tokens 100000
refuse 1 'has room for 99488' model --data tasks.jsonl --max-prompt 99489
refuse 1 "no/such/folder" model --data tasks.jsonl --out no/such/folder/lines
refuse 1 "run.yam" model --config run.yam
echo '{"question": "q", "answer": "a", "verifier": "oracle", "id": "odd"}' >odd.jsonl
refuse 1 "task 'odd' asks for the unknown verifier 'oracle'" model --data odd.jsonl --out lines2
ok 'nothing is left of it' test ! -e lines2
echo '{"question": "q"}' >>odd.jsonl
refuse 1 "odd.jsonl:2: " model --data odd.jsonl
echo 'data: {methods: cot}' >odd.yaml
refuse 1 "did you mean 'data.method'?" model --config odd.yaml

# A program of one's own decides: by its rule both answers of valid form are right, "Ben" is in them.
sed 's/"verifier": "kk"/"verifier": "exec"/' tasks.jsonl >exec.jsonl
refuse 1 "but 'reward.exec.command' names no program" model --data exec.jsonl --out lines2
cat >check.sh <<'END'
while IFS= read -r line; do
    case $line in
    *'"response":"'*Ben*'","step":'*) echo '{"verdict": "right"}' ;;
    *'"response":"Zoey is a knight","step":2'*) exit 3 ;;
    *) echo '{"verdict": "wrong"}' ;;
    esac
done
END
printf 'data.max_prompt_length: 9000\nreward.exec: {command: [sh, check.sh], timeout_s: 5}\n' >exec.yaml
refuse 1 "without a verdict there is no result: sample 1 of 1 of task '" model --data exec.jsonl \
    --config exec.yaml --max-tokens 8 --out lines2
has err 'verifier failed: it ended with status 3'
sed -i "s/exit 3/echo '{\"verdict\": \"unparsed\"}'/" check.sh
evaluate 0 model --data exec.jsonl --config exec.yaml --max-tokens 8 --json --out lines
silent err
at overall.right 2
at levels.0.pass_at_1 1.0
printf 'data.max_prompt_length: 9000\nreward.exec.command: [./no-such-verifier, -x]\n' >exec.yaml
refuse 1 "the verifier './no-such-verifier -x' (reward.exec.command) is of no use" model \
    --data exec.jsonl --config exec.yaml --max-tokens 8 --out lines2
ok 'nothing is left of it' test ! -e lines2

# Ctrl-C ends it, and nothing is under the name of the output.
said='plait eval, then Ctrl-C'
"$plait" eval model --data tasks.jsonl --max-tokens 90000 --out lines3 >out 2>err &
run=$!
sleep 0.5
kill -TERM $run
wait $run
ok 'ended by the signal' test $? -eq 143
silent out
ok 'no output' test ! -e lines3
finish
