#!/bin/sh
# `plait model` from outside: folders made, described and scored with, and what is refused with one
# sentence. Usage: test_model.sh PLAIT JSON
set -u
plait=$(readlink -f "$1")
json=$(readlink -f "$2")
. "$(dirname "$(readlink -f "$0")")/check.sh"

model() {
    want=$1
    shift
    expect "$want" "$plait" model "$@"
}

# at PATH TEXT: what stands there in the JSON of ./out
at() {
    "$json" "$1" <out >got
    is got "$2"
}

printf 'the cat sat on the mat\nthe dog sat on the log\n' >text.txt
expect 0 "$plait" tokenizer train --size 270 --output tok text.txt
printf '{"model_type": "qwen2", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
"num_key_value_heads": 2, "intermediate_size": 48, "max_position_embeddings": 200}' >config.json

# --- init ---

model 0 init config.json a --tokenizer tok --seed 5
has out "made 'a': "
ok 'the tokenizer goes along' cmp tok/tokenizer.json a/tokenizer.json
"$json" vocab_size <a/config.json >vocab
"$json" architectures.0 <a/config.json >got
is got Qwen2ForCausalLM
model 0 init config.json b --tokenizer tok --seed 5
ok 'the same seed makes the same bytes' cmp a/model.safetensors b/model.safetensors
model 0 init a c --seed 6 # of a folder, with its tokenizer
ok 'another seed makes others' test "$(cmp a/model.safetensors c/model.safetensors | wc -l)" -eq 1
ok 'the tokenizer of a folder goes along' cmp tok/tokenizer.json c/tokenizer.json
model 1 init config.json a --tokenizer tok
has err "plait model init: 'a' is there already"
one_sentence
ok 'a refused folder is left alone' cmp a/model.safetensors b/model.safetensors
model 0 init config.json b --tokenizer tok --seed 6 --replace --shard-bytes 3000
ok 'an old file goes with its folder' test ! -e b/model.safetensors
ok 'shards have an index' test -e b/model.safetensors.index.json
model 1 init config.json d
has err "plait model init: config.json: key 'vocab_size' is missing, and there is no tokenizer to take it from"
one_sentence
sed 's/"model_type"/"vocab_size": 100, "model_type"/' config.json >few.json
model 1 init few.json d --tokenizer tok
has err 'plait model init: few.json: vocab_size is 100, but the tokenizer of'
one_sentence
model 1 init config.json d --tokenizer nowhere
has err nowhere
one_sentence
printf '[]' >list.json
model 1 init list.json d
has err 'plait model init: list.json: expected an object'
ok 'nothing is left of a model that was not made' test ! -e d
ok 'nor beside it' test ! -e d.tmp
model 2 init config.json
has err 'argument OUTPUT is missing'

# Ids that the config leaves out are the tokenizer's.
cp -r tok named
printf '{"eos_token": {"content": "<|im_end|>"}, "pad_token": "<|endoftext|>", "bos_token": null}' \
    >named/tokenizer_config.json
model 0 init config.json e --tokenizer named
expect 0 "$plait" model info e --json
"$json" config.eos_token_id <out >got
ok 'eos_token is a number' grep -q '^[0-9]' got
at config.bos_token_id null

# --- info ---

model 0 info a
has out 'architecture  qwen2, untied embeddings'
has out 'model.layers.*.self_attn.q_proj.weight'
has out '32 x 32  BF16      2        2048'
lacks out 'model.layers.0.'
has out 'key/value cache'
has out 'master weights (f32)'
silent err
model 0 info a --tensors
has out 'model.layers.1.self_attn.q_proj.weight'
model 0 info b --json --slots 3 --positions 50 --rows 100
at memory.generate.slots 3
at memory.train.rows 100
at tensors.0.name model.embed_tokens.weight
at tensors.0.dtype BF16
at tensors.2.shape '[32]'
"$json" parameters <out >parameters
"$json" tensor_bytes <out >bytes
ok 'bytes are two a parameter' test "$(cat bytes)" -eq $((2 * $(cat parameters)))
"$json" config.vocab_size <out >got
ok 'the vocabulary is that of config.json' cmp got vocab
model 0 info a/config.json --json # before there is a model
at parameters "$(cat parameters)"
at tensor_bytes ''
rm c/model.safetensors
model 1 info c
has err "plait model info: 'c' holds neither model.safetensors nor model.safetensors.index.json"
one_sentence
silent out
head -c 2000 a/model.safetensors >c/model.safetensors
model 1 info c
has err 'plait model info: c/model.safetensors: '
one_sentence

# --- score ---

cat >texts.jsonl <<'END'
{"text": "the cat sat"}

{"ids": [1, 2, 3, 4], "other": "keys are of no interest"}
{"prompt": "the dog", "response": " sat"}
{"ids": [7]}
END
model 0 score a texts.jsonl
"$json" line <out >got
printf '1\n3\n4\n5\n' >lines
ok 'a line for each line that is not empty' cmp got lines
"$json" logprobs.0 <out >got
printf 'null\nnull\nnull\nnull\n' >nulls
ok 'the first token has no log-probability' cmp got nulls
sed -n 2p out | "$json" ids >got
is got '[1,2,3,4]'
sed -n 2p out | "$json" . | tr -d '[]{}' | awk -F'"logprobs":null,' '{ n = split($2, p, ","); s = 0
    for (i = 1; i <= 3; i++) s += p[i]; sub(/.*"sum":/, "", $2); exit !(s - $2 < 1e-6 && $2 - s < 1e-6 && s < 0) }' ||
    wrong 'sum is not the sum of the log-probabilities'
mv out once
model 0 score a - --rows 1 <texts.jsonl
cp texts.jsonl in
model 0 score a - --rows 1
ok 'whatever the step: the same bytes' cmp once out

# A text is its ids; what stands before does not change, whatever comes after.
sed -n 1p once | "$json" ids | sed 's/.*/{"ids": &}/' >in
model 0 score a -
"$json" logprobs <out >two
sed -n 1p once | "$json" logprobs >one
ok 'a text is its ids' cmp one two
printf '{"ids": [1, 2, 3, 4, 5, 6]}\n' >in
model 0 score a -
"$json" logprobs <out | cut -d, -f1-4 | tr -d ']' >two
sed -n 2p once | "$json" logprobs | tr -d ']' >one
ok 'what comes after changes nothing' cmp one two

# Of a prompt and its response only the response is scored; raw, nothing is put around it.
printf '{"prompt": "the dog", "response": " sat"}\n' >pair.jsonl
printf '{"text": "the dog sat"}\n' >whole.jsonl
model 0 score a pair.jsonl --raw
"$json" logprobs <out | tr ',' '\n' | grep -vc null >got
raw=$(cat got)
ok 'the response has log-probabilities' test "$raw" -ge 1
sed -n 3p once | "$json" logprobs | tr ',' '\n' | grep -vc null >got
ok 'its end is scored where there is a template' test "$(cat got)" -gt "$raw"

# Input that is wrong is named by file and line, and nothing is printed for it.
bad() {
    printf '{"ids": [1, 2]}\n%s\n' "$1" >bad.jsonl
    model 1 score a bad.jsonl --quiet
    has err "plait model score: bad.jsonl:2: $2"
    one_sentence
}
bad '{"text": "a"' "line 1, column "
bad '[1]' "expected an object with one of a string 'text', a list 'ids', or strings 'prompt' and 'response'"
bad '{"text": "a", "ids": [1]}' "expected an object with one of"
bad '{"prompt": "a"}' "expected an object with one of"
bad '{"ids": []}' "there is no token to score"
bad '{"ids": [1, -1]}' "'ids'[1] is not an integer from 0 to "
bad '{"ids": [1000000]}' "'ids'[0] is not an integer from 0 to "
bad "{\"ids\": [$(seq -s, 1 201)]}" "there are 201 tokens; expected 200 at most (--positions)"
model 1 score a nowhere.jsonl
has err "plait model score: open 'nowhere.jsonl': No such file or directory"
model 1 score a texts.jsonl --positions 201
has err 'plait model score: --positions is 201; the model can do 200 at most'
model 1 score a texts.jsonl --template nowhere --quiet
has err nowhere
one_sentence
rm a/tokenizer.json
model 1 score a texts.jsonl --quiet
has err "plait model score: 'a': there is no tokenizer.json"
one_sentence
printf '{"ids": [1, 2, 3, 4]}\n' >in
model 0 score a - # ids do without
"$json" logprobs <out >two
sed -n 2p once | "$json" logprobs >one
ok 'ids are scored without a tokenizer' cmp one two

# --- the command itself ---

model 2
has err 'plait model: a command is missing.'
model 2 inti
has err "plait model: unknown command 'inti'; did you mean 'init'?"
model 2 --seed
has err "plait model: unknown option '--seed'."
model 0 help score
has out 'Usage: plait model score'
model 0 score --help
has out 'Usage: plait model score'
expect 0 "$plait" help model score
has out 'Usage: plait model score'
model 2 help scor
has err "did you mean 'score'?"

finish
