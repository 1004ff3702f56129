#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets into tests/fuzz/corpus/TARGET/. Seeds called good-* are taken by
the reader, bad-* are refused; the others may be either. Seeds that fuzzing found are called found-* and
are left alone."""
import json
import pathlib
import struct

ROOT = pathlib.Path(__file__).resolve().parent / "corpus"
SEED_BYTES_MAX = 4096


def write(target, seeds):
    folder = ROOT / target
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        if not old.name.startswith("found-") and old.name not in seeds:
            old.unlink()
    for name, data in seeds.items():
        data = data.encode() if isinstance(data, str) else data
        assert len(data) <= SEED_BYTES_MAX, (target, name, len(data))
        (folder / name).write_bytes(data)


def files(parts):
    """Several files in one input."""
    return b"\n".join(b"=== " + name.encode() + b"\n" + (data.encode() if isinstance(data, str) else data)
                      for name, data in parts.items())


# --- JSON ---

JSON = {
    "good-object": '{"size": 17, "real": 2.5, "yes": true, "no": false, "text": "a\\u00e9\\n", "null": null}',
    "good-array": '[1, -2, 3.25e-3, "x", [], {}, [[1], {"a": [2]}]]',
    "good-unicode": '{"κλειδί": "\\ud83d\\ude00 😀 \u2028", "\\u0301": ""}',
    "good-large-numbers": '[9223372036854775807, -9223372036854775808, 1e308, 5e-324, 1e-400]',
    "good-blanks": ' \t\r\n{ "a" : [ ] }\n\n',
    "good-deep": "[" * 200 + "]" * 200,
    "bad-deep": "[" * 2049 + "]" * 2047,
    "bad-deeper": '{"a":' * 800,
    "bad-integer-too-large": '{"size": 9223372036854775808}',
    "bad-real-too-large": '{"real": 1e999}',
    "bad-digits": '{"size": ' + "9" * 2000 + "}",
    "bad-duplicate": '{"a": 1, "b": 2, "a": 3}',
    "bad-empty": "",
    "bad-bom": b"\xef\xbb\xbf{}",
    "bad-utf16": '{"a": 1}'.encode("utf-16"),
    "bad-nul-raw": b'{"a": "x\x00y"}',
    "bad-nul-escaped": '{"a": "x\\u0000y"}',
    "bad-nul-key": '{"\\u0000": 1}',
    "bad-utf8": b'{"a": "\xc3\x28"}',
    "bad-utf8-long": b'{"a": "\xc0\x80"}',
    "bad-utf8-surrogate": b'{"a": "\xed\xa0\x80"}',
    "bad-surrogate-alone": '{"a": "\\ud800"}',
    "bad-control": b'{"a": "\x1b[31m\x07"}',
    "bad-newline-in-string": '{"a": "x\ny"}',
    "bad-trailing": '{"a": 1} {"b": 2}',
    "bad-trailing-comma": '{"a": 1,}',
    "bad-comment": '{"a": 1 /* no */}',
    "bad-single-quotes": "{'a': 1}",
    "bad-nan": '{"a": NaN}',
    "bad-leading-zero": '{"a": 01}',
    "bad-scalar": "17",
    "bad-cut": '{"a": "x',
}

# --- safetensors ---


def st(header, data=b"", length=None):
    header = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


SAFETENSORS = {
    "good-two": st({"a": tensor("F32", [2, 3], 0, 24), "b": tensor("BF16", [4], 24, 32)}, bytes(range(32))),
    "good-metadata": st({"__metadata__": {"format": "pt", "é": "\u2028"}, "x": tensor("U8", [1], 0, 1)}, b"x"),
    "good-padded": st(b'{"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}          ', b"12345678"),
    "good-scalar": st({"s": tensor("F64", [], 0, 8)}, b"12345678"),
    "good-none": st({}),
    "good-empty-tensors": st({"a": tensor("F32", [0], 0, 0), "b": tensor("F16", [3, 0, 7], 0, 0)}),
    "good-empty-between": st({"a": tensor("U8", [2], 0, 2), "e": tensor("F32", [0, 5], 2, 2),
                              "b": tensor("U8", [1], 2, 3)}, b"abc"),
    "good-out-of-order": st({"z": tensor("U8", [2], 2, 4), "a": tensor("U8", [2], 0, 2)}, b"abcd"),
    "good-every-dtype": st({d: tensor(d, [1], 8 * i, 8 * i + 8) for i, d in
                            enumerate(["I64", "U64", "F64", "C64"])}, bytes(32)),
    "good-rank-8": st({"a": tensor("BOOL", [1, 1, 1, 1, 1, 1, 1, 2], 0, 2)}, b"\0\1"),
    # the product of the shape is 2^64 and something small
    "bad-product-overflows": st({"a": tensor("U8", [4194305, 4194305, 211106198978564], 0, 4)}, b"abcd"),
    "bad-product-overflows-f32": st({"a": tensor("F32", [1 << 62, 4], 0, 0)}),
    "bad-product-overflows-then-zero": st({"a": tensor("U8", [1 << 62, 1 << 62, 0], 0, 0)}),
    "bad-offsets-short": st({"a": tensor("F32", [1000, 1000], 0, 8)}, bytes(8)),
    "bad-offsets-long": st({"a": tensor("F32", [1], 0, 8)}, bytes(8)),
    "bad-end-before-begin": st({"a": tensor("U8", [2], 4, 2)}, b"abcd"),
    "bad-end-past-file": st({"a": tensor("U8", [8], 0, 8)}, b"abcd"),
    "bad-offset-negative": st({"a": tensor("U8", [2], -2, 0)}, b"abcd"),
    "bad-offset-huge": st({"a": tensor("U8", [1], (1 << 63) - 2, (1 << 63) - 1)}, b"a"),
    "bad-offset-over-64-bits": st(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[18446744073709551615,0]}}', b"a"),
    "bad-offset-real": st(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0.0,1.0]}}', b"a"),
    "bad-offsets-three": st(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}}', b"a"),
    "bad-shape-negative": st({"a": tensor("U8", [-1, -4], 0, 4)}, b"abcd"),
    "bad-rank-9": st({"a": tensor("U8", [1] * 9, 0, 1)}, b"a"),
    "bad-overlap": st({"a": tensor("U8", [4], 0, 4), "b": tensor("U8", [4], 2, 6)}, b"abcdef"),
    "bad-shared": st({"a": tensor("U8", [4], 0, 4), "b": tensor("U8", [4], 0, 4)}, b"abcd"),
    "bad-hole": st({"a": tensor("U8", [1], 0, 1), "b": tensor("U8", [1], 2, 3)}, b"abc"),
    "bad-empty-in-the-middle": st({"a": tensor("U8", [4], 0, 4), "e": tensor("U8", [0], 2, 2)}, b"abcd"),
    "bad-data-left-over": st({"a": tensor("U8", [1], 0, 1)}, b"abc"),
    "bad-duplicate": st(b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
                        b'"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', b"ab"),
    "bad-duplicate-inside": st(b'{"a":{"dtype":"U8","dtype":"F32","shape":[1],"data_offsets":[0,1]}}', b"a"),
    "bad-dtype": st({"a": tensor("F33", [1], 0, 1)}, b"a"),
    "bad-extra-key": st({"a": {**tensor("U8", [1], 0, 1), "more": 1}}, b"a"),
    "bad-metadata": st({"__metadata__": {"a": 1}}),
    "bad-metadata-list": st({"__metadata__": []}),
    "bad-array": st(b"[]"),
    "bad-nul-in-name": st(b'{"a\\u0000b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"a"),
    "bad-invalid-utf8": st(b'{"\xff":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', b"a"),
    "bad-bom": st(b"\xef\xbb\xbf{}"),
    "bad-blank-first": st(b" {}"),
    "bad-deep": st(b'{"a":' + b"[" * 3000 + b"}"),
    "bad-header-over-100-mb": st(b"{}", length=100_000_001),
    "bad-header-past-file": st(b"{}", length=99_999_999),
    "bad-header-2-to-64": st(b"{}", length=(1 << 64) - 1),
    "bad-header-wraps": st(b"{}", length=(1 << 64) - 8),
    "bad-header-empty": st(b""),
    "bad-no-header": b"\x02\0\0",
    "bad-empty": b"",
}

# --- config.json ---

QWEN2 = {
    "architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 1, "eos_token_id": [2, 3],
    "hidden_act": "silu", "hidden_size": 16, "initializer_range": 0.02, "intermediate_size": 24,
    "max_position_embeddings": 64, "max_window_layers": 2, "model_type": "qwen2", "num_attention_heads": 4,
    "num_hidden_layers": 2, "num_key_value_heads": 2, "rms_norm_eps": 1e-06, "rope_theta": 10000.0,
    "sliding_window": None, "tie_word_embeddings": True, "torch_dtype": "bfloat16", "use_cache": True,
    "use_sliding_window": False, "vocab_size": 32}
LLAMA = {
    "architectures": ["LlamaForCausalLM"], "attention_bias": False, "bos_token_id": 0, "eos_token_id": 5,
    "head_dim": 8, "hidden_act": "silu", "hidden_size": 20, "intermediate_size": 24, "max_position_embeddings": 128,
    "mlp_bias": False, "model_type": "llama", "num_attention_heads": 2, "num_hidden_layers": 1,
    "num_key_value_heads": 1, "pad_token_id": 6, "rms_norm_eps": 1e-05, "rope_scaling":
    {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64,
     "rope_type": "llama3"}, "rope_theta": 500000.0, "tie_word_embeddings": False, "vocab_size": 7}


def config(base, **changes):
    return json.dumps({**base, **changes})


CONFIG = {
    "good-qwen2": config(QWEN2),
    "good-llama": config(LLAMA),
    "good-linear": config(QWEN2, rope_scaling={"type": "linear", "factor": 4}),
    "good-rope-parameters": config(LLAMA, rope_scaling=None, rope_parameters={
        "rope_type": "default", "rope_theta": 1e6}),
    "good-largest": config(QWEN2, hidden_size=1 << 16, num_hidden_layers=1 << 10, num_attention_heads=1 << 10,
                           num_key_value_heads=1 << 10, head_dim=256, intermediate_size=1 << 18,
                           vocab_size=1 << 20, max_position_embeddings=1 << 21),
    "good-odd-numbers": config(QWEN2, rms_norm_eps=1.1754e-30, initializer_range=0.1 + 0.2, rope_theta=1e18),
    "bad-zero-layers": config(QWEN2, num_hidden_layers=0),
    "bad-layers-huge": config(QWEN2, num_hidden_layers=1 << 40),
    "bad-product-overflows": config(QWEN2, hidden_size=4194305, intermediate_size=4194305,
                                    vocab_size=211106198978564),
    "bad-heads": config(QWEN2, num_attention_heads=3),
    "bad-kv-heads": config(QWEN2, num_key_value_heads=3),
    "bad-kv-heads-zero": config(QWEN2, num_key_value_heads=0),
    "bad-head-dim-odd": config(LLAMA, head_dim=7),
    "bad-negative": config(QWEN2, vocab_size=-32),
    "bad-real-size": config(QWEN2, hidden_size=16.0),
    "bad-string-size": config(QWEN2, hidden_size="16"),
    "bad-eps-zero": config(QWEN2, rms_norm_eps=0),
    "bad-eos": config(QWEN2, eos_token_id=32),
    "bad-eos-many": config(QWEN2, eos_token_id=list(range(9))),
    "bad-eos-nested": config(QWEN2, eos_token_id=[[1]]),
    "bad-window": config(QWEN2, use_sliding_window=True, sliding_window=16),
    "bad-arch": config(QWEN2, architectures=["GPT2LMHeadModel"], model_type="gpt2"),
    "bad-rope": config(QWEN2, rope_scaling={"type": "yarn", "factor": 4}),
    "bad-rope-type": config(QWEN2, rope_scaling=[]),
    "bad-llama3": config(LLAMA, rope_scaling={"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 4.0,
                                              "high_freq_factor": 1.0, "original_max_position_embeddings": 64}),
    "bad-act": config(QWEN2, hidden_act="gelu"),
    "bad-control": json.dumps({**QWEN2, "model_type": "\u001b[2J\n\u0085"}),
    "bad-array": "[]",
    "bad-empty-object": "{}",
}

# --- text ---

UNICODE = {
    "ascii": b"\0Hello, world.\n",
    "composed": "\0Ångström é ﬁ Ⅷ ２".encode(),
    "decomposed": "\1A\u030angstro\u0308m e\u0301 q\u0307\u0323 q\u0323\u0307".encode(),
    "hangul": "\2각 \u1100\u1161\u11a8 \u1100\u1161 \uac00\u11a8".encode(),
    "marks-shuffled": ("\0a" + "\u0323\u0301\u0327\u0345\u05b0\u3099\u0307" * 60).encode(),
    "excluded": "\0\u0958 \ufb1d \u2adc \U0001d15e \u0344 \u0340 \u0374".encode(),
    "expanding": "\3\ufdfa\ufdfb\u3300\uff86".encode(),
    "blocked": "\0a\u0315\u0300\u05ae\u0301b e\u0327\u0301\u0327".encode(),
    "invalid": b"\0a\x80b\xc3\xe2\x82\xf0\x9f\x98\xffz\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80\xf8\x88\x80\x80\x80",
    "cut": b"\0ok \xf0\x9f\x98",
    "bom-nul": b"\0\xef\xbb\xbfa\0b",
    "edges": "\0\x7f\x80\u07ff\u0800\ud7ff\ue000\ufffd\uffff\U00010000\U0010ffff".encode(),
    "emoji": "\2👩‍👩‍👧 🇩🇪 ✊🏽 \ufe0f".encode(),
    "tags": "\0\U000e0100\U000e0061\u200d\u200b\u00ad".encode(),
}

QWEN2_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
               r"\s*[\r\n]+|\s+(?!\S)|\s+")
TEXT = "It's 3 o'clock;  we'RE\r\n\r\n  off — Äpfel १२३ 𝟙\t\u0085\u00a0\u3000x\n"


def pretok(text, *lines):
    return "\n".join(lines).encode() + b"\0" + (text.encode() if isinstance(text, str) else text)


PRETOK = {
    "good-qwen2": pretok(TEXT, QWEN2_SPLIT),
    "good-llama3": pretok(TEXT, r"(?i:'s|'t)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+"),
    "good-literal": pretok("a-b--c", "=-"),
    "good-two": pretok(TEXT, r"\d", r"\p{L}+|\s"),
    "good-prefix-space": pretok("ab cd", "", "[a-c]"),
    "good-empty-matches": pretok("aäb", "x*"),
    "good-lookaround": pretok("aab", "(?<=a)a|(?=b)"),
    "good-none": pretok(TEXT),
    "good-invalid-utf8": pretok(b"\xff\xc3a\xf0\x9f\0b", r"\p{L}+"),
    "bad-steps": pretok("a" * 60 + "!", "(?:a|aa)+[bc]"),
    "bad-anchor": pretok("a", "^a"),
    "bad-backreference": pretok("aa", r"(a)\1"),
    "bad-recursion": pretok("aa", "(?R)"),
    "bad-verb": pretok("aa", "(*COMMIT)a"),
    "bad-class": pretok("aa", "[a[b]]"),
    "bad-open": pretok("aa", "(a"),
    "bad-open-class": pretok("aa", "[a"),
    "bad-repeat": pretok("aa", "a{1000,2}"),
    "bad-repeat-large": pretok("aa", "a{70000}"),
    "bad-nested-repeats": pretok("aa", "(((((a{60000}){60000}){60000}){60000}){60000})"),
    "bad-deep": pretok("a", "(" * 101 + "a" + ")" * 101),
    "bad-property": pretok("a", r"\p{Nonsense}"),
    "bad-callout": pretok("a", "(?C1)a"),
    "bad-escape": pretok("a", r"\K"),
    "bad-invalid-utf8": pretok("a", "\xff").replace(b"\xc3\xbf", b"\xff"),
    "bad-too-many": pretok("a", *"abcdefghi"),
    "bad-empty-literal": pretok("a", "="),
}

# --- options, metrics, machine ---

OPTIONS = {
    "good-plain": "model\n--steps\n4k\n--lr=1e-3\n-q\nfile\nfile2",
    "good-variables": "$PLAIT_STEPS=7\n$PLAIT_TAGS=a,b\\,c\n$PLAIT_LR=\nmodel\n--no-quiet\n--order\nfile",
    "good-lists": "--tags=a,b\n--tags\nc\\,d\nmodel\n--\n--not-an-option\n-",
    "good-underscores": "model\n--loss_scale=-2.5\n--color=yes\n-qc",
    "good-largest": "model\n--seed=18446744073709551615\n--steps=1000000",
    "bad-missing": "--steps=3",
    "bad-unknown": "model\n--stpes=3",
    "bad-value": "model\n--steps=3x",
    "bad-overflow": "model\n--seed=18446744073709551616",
    "bad-shift": "model\n--seed=99999999999G",
    "bad-range": "model\n--lr=1.5",
    "bad-nan": "model\n--lr=nan",
    "bad-inf": "model\n--loss-scale=1e999",
    "bad-hex": "model\n--loss-scale=0x10",
    "bad-choice": "model\n--order=\x1b[31m",
    "bad-flag": "model\n--quiet=perhaps",
    "bad-empty-item": "model\n--tags=a,,b",
    "bad-many-items": "model\n--tags=1,2,3,4,5,6,7,8,9",
    "bad-no-value": "model\n--lr\n--steps\n5",
    "bad-letter": "model\n-qx",
    "bad-utf8": b"model\n--order=\xff\xc2\x85",
    "help": "model\n--help\n--nonsense",
}


def lines(*steps):
    return "".join(json.dumps({"training/global_step": s, "train/loss": 0.5 * s}) + "\n" for s in steps)


METRICS = {
    "good-some": "\5" + lines(1, 2, 3, 4, 5, 6, 7),
    "good-none-left": "\0" + lines(1, 2),
    "good-torn": "\5" + lines(1, 2) + '{"training/global_step": 3, "tra',
    "good-torn-nul": "\5" + lines(1) + "\0\0\0\0",
    "good-repeated": "\2" + lines(1, 2, 2, 3, 1),
    "good-empty": "\5",
    "good-huge-step": "\5" + lines(9223372036854775807, 1),
    "bad-line": "\5" + lines(1) + "no json\n" + lines(2),
    "bad-empty-line": "\5" + lines(1) + "\n" + lines(2),
    "bad-no-step": "\5" + '{"train/loss": 1.0}\n',
    "bad-step-negative": "\5" + lines(-1),
    "bad-step-real": "\5" + '{"training/global_step": 1.0}\n',
    "bad-step-too-large": "\5" + '{"training/global_step": 9223372036854775808}\n',
    "bad-nul": b"\5" + lines(1).encode() + b"\0\n",
    "bad-utf8": b'\5{"training/global_step": 1, "a": "\xff\x1b"}\n',
    "bad-array": "\5[1]\n",
    "bad-deep": "\5" + "[" * 2500 + "\n",
}

MEMINFO = "MemTotal:       16384000 kB\nMemFree:         1000000 kB\nMemAvailable:    8000000 kB\n"
CPUINFO = ("processor\t: 0\nmodel name\t: A Processor 3.0GHz\nflags\t\t: fpu sse4_2 avx f16c fma avx2 avx512f\n"
           "\nprocessor\t: 1\nmodel name\t: Another\n")
LIMITS = "sys/fs/cgroup/"


def machine(meminfo, **others):
    names = {"cpuinfo": "proc/cpuinfo", "cpu_max": LIMITS + "cpu.max", "memory_max": LIMITS + "memory.max",
             "memory_current": LIMITS + "memory.current", "limit_v1": LIMITS + "memory/memory.limit_in_bytes",
             "usage_v1": LIMITS + "memory/memory.usage_in_bytes"}
    return files({"proc/meminfo": meminfo, **{names[key]: text for key, text in others.items()}})


MACHINE = {
    "good-whole": machine(MEMINFO, cpuinfo=CPUINFO, cpu_max="150000 100000\n", memory_max="4294967296\n",
                          memory_current="1048576\n"),
    "good-no-limits": machine(MEMINFO, cpuinfo=CPUINFO, cpu_max="max 100000\n", memory_max="max\n"),
    "good-v1": machine(MEMINFO, limit_v1="4294967296\n", usage_v1="1\n"),
    "good-memory-only": machine(MEMINFO),
    "good-long-name": machine(MEMINFO, cpuinfo="model name: " + "x" * 300 + "\nflags:"),
    "good-flags-end": machine(MEMINFO, cpuinfo="flags : avx2"),
    "good-odd-limits": machine(MEMINFO, cpu_max="inf nan", memory_max="-1"),
    "good-infinite-limit": machine(MEMINFO, cpu_max="inf 1", memory_max="99999999999999999999"),
    "good-negative-limits": machine(MEMINFO, cpu_max="-5 100000", memory_max="5", memory_current="9"),
    "bad-nothing": "",
    "bad-empty": machine(""),
    "bad-zero": machine("MemTotal: 0 kB\nMemAvailable: 0 kB\n"),
    "bad-more-available": machine("MemTotal: 5 kB\nMemAvailable: 6 kB\n"),
    "bad-no-total": machine("MemAvailable: 6 kB\n"),
    "overflow": machine("MemTotal: 99999999999999999999 kB\nMemAvailable: 18014398509481985 kB\n"),
    "nul": machine(b"\0MemTotal: 5 kB\n", cpuinfo=b"flags\0: avx2"),
}

# --- published rows of Knights and Knaves ---

TWO = "(('and', ('lying', 0), ('lying', 1)), ('or', ('lying', 0), ('lying', 1)))"
PARITY = ("(('<=>', ('telling-truth', 0), ('<=>', ('lying', 1), ('<=>', ('telling-truth', 2), ('lying', 3)))), "
          "('<=>', ('lying', 1), ('<=>', ('lying', 0), ('lying', 2))), "
          "('<=>', ('lying', 2), ('<=>', ('telling-truth', 1), ('telling-truth', 3))), "
          "('<=>', ('telling-truth', 3), ('<=>', ('lying', 0), ('telling-truth', 1))))")
EIGHT = "(" + ", ".join(["('or', ('telling-truth', 0), ('lying', 0))"] + [f"('lying', {i})" for i in range(7)]) + ")"


def row(names=("Zoey", "Max"), solution=(False, True), statements=TWO, **more):
    fields = {"quiz": " and ".join(map(str, names)) + ".", "names": list(names), "solution": list(solution),
              "statements": statements, **more}
    return json.dumps({key: value for key, value in fields.items() if value is not None}, ensure_ascii=False)


KK = {
    "good-two": row(),
    "good-all-keys": row(solution_text="Zoey is a knave, and Max is a knight.", index=7, cot_foot="so",
                         knight_knave={"knight": "knight", "knave": "knave", "a_knight": "a knight"}),
    "good-name-in-name": row(names=("Ella", "Isabella")),
    "good-beyond-ascii": row(names=("Zoë", "Мaкс")),
    "good-blanks": row(statements=TWO.replace(" ", "\n\t ").replace("(", "( ").replace("'", '"')),
    "good-trailing-commas": row(statements=TWO.replace(")", ",)")),
    "good-nested": row(names=("Ann", "Bob", "Cid"), solution=(True, True, False),
                       statements="(('or', ('telling-truth', 0), ('not', ('not', ('lying', 0)))), ('and', "
                       "('telling-truth', 0), ('not', ('and', ('lying', 0), ('telling-truth', 2)))), ('->', ('<=>', "
                       "('telling-truth', 0), ('telling-truth', 1)), ('lying', 1)))"),
    "good-parity": row(names=("Ann", "Bob", "Cid", "Dot"), solution=(True, False, False, True), statements=PARITY),
    "good-eight": row(names=("Ann", "Bob", "Cid", "Dot", "Eve", "Fay", "Gus", "Hal"),
                      solution=(True, False, True, False, True, False, True, False), statements=EIGHT),
    "bad-other-solution": row(solution=(True, True)),
    "bad-two-solutions": row(statements="(('lying', 1), ('lying', 0))"),
    "bad-no-solution": row(statements="(('lying', 0), ('lying', 0))"),
    "bad-person": row(statements=TWO.replace("1", "9" * 100)),
    "bad-kind": row(statements=TWO.replace("and", "xor")),
    "bad-parts": row(statements=TWO.replace("'and'", "'not'")),
    "bad-deep": row(statements="(" + "('not', " * 400),
    "bad-wide": row(statements="(('and', " + "('lying', 0), " * 200),
    "bad-quote": row(statements="(('lying" + "x" * 100),
    "bad-cut": row()[:-40],
    "bad-names": row(names=("Zoey", "Zoey")),
    "bad-name-role": row(names=("Zoey", "knave")),
    "bad-name-empty": row(names=("Zoey", "")),
    "bad-name-long": row(names=("Zoey", "M" * 32)),
    "bad-name-number": row(names=("Zoey", 5)),
    "bad-one-person": row(names=("Zoey",), solution=(True,), statements="(('telling-truth', 0),)"),
    "bad-nine-people": row(names=[chr(65 + i) * 2 for i in range(9)]),
    "bad-angels": row(knight_knave={"knight": "angel", "knave": "devil"}),
    "bad-text": row(solution_text="Zoey is a knight, and Max is a knight."),
    "bad-quiz": row(quiz="Zoey and Tom."),
    "bad-index": row(index=-1),
    "bad-no-names": "{}",
    "bad-array": "[]",
    "bad-control": row(names=("Zoey", "M\x1b[31m")),
    "literal-two": TWO,
    "literal-eight": EIGHT,
    "literal-deep": "(" + "('not', " * 70,
}

# --- what a model writes: how long the pieces are, then the text ---

STREAM = {
    "whole": "\x0f<think>one more than 1</think>\n<answer>2</answer>",
    "cut": "\x00<think>so</think><answer>é€😀</answer>",
    "nested": "\x02" + "<think><answer>" * 100 + "</think></answer>" * 100,
    "unclosed": "\x03<answer>a<think>b</answer",
    "almost": "\x01<<think><thin</think</answe</answer>r>< answer></ think>",
    "begins": "\x04" + "<" * 100 + "</" * 50 + "<answer",
    "half-characters": b"\x00a\xf0\x9f\x98<think>\xe2\x82</think>\xc3",
    "no-characters": b"\x05\xff\xc0\x80\xed\xa0\x80<ans\xffwer>",
    "escapes": "\x00\x1b[31mred\x1b]0;title\x07<think>\x1b</think>[2J\r\b\x7f\u009b2J\x00",
    "turned": "\x06\u202eabc\u2066def\u061c\u200f",
    "controls": bytes(range(256)),
    "empty": "",
}

for name, seeds in {
        "config": CONFIG, "json": JSON, "kk": KK, "machine": MACHINE, "metrics": METRICS, "options": OPTIONS,
        "pretok": PRETOK, "safetensors": SAFETENSORS, "stream": STREAM, "unicode": UNICODE}.items():
    write(name, seeds)
