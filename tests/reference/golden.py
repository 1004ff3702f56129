#!/usr/bin/python3
"""Writes tests/data/golden-*.json, what tests/grad/test_golden.c holds the engine against.

Run by hand, with Debian's python3-torch and python3-numpy; no test needs either:

    /usr/bin/python3 tests/reference/golden.py            # writes all cases
    /usr/bin/python3 tests/reference/golden.py llama-llama3

The models are written down once more here, in plain float32 PyTorch, from what Transformers
computes for Qwen2 and Llama, and share nothing with plait but the definition of the random weights
(Philox 4x32-10, see weight()). Sequences are computed one by one, each with its whole prompt: no
packing, no sharing, no pages. The weights that the model sees are bfloat16 values, rounded from a
float32 master after each update; gradients and torch.optim.AdamW are float32.

A file holds, arrays as base64 of little-endian float32:

    config    as in a model's config.json
    groups    prompts and their responses, token ids
    logits    (tokens, vocab), what predicts each token of each response; responses in order
    logp      (tokens), log-probability of those tokens
    entropy   (tokens), of the distributions that they come from
    adamw     the optimiser's options; lr is one for each step
    steps     mean cross entropy over all responses' tokens, and the norm of its gradient before
              clipping, at each step
    tensors   name, shape, grad: of the first step, master: after the last step
"""
import base64
import json
import math
import os
import sys

import numpy as np
import torch
import torch.nn.functional as F

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data")

QWEN2 = {"model_type": "qwen2", "num_hidden_layers": 2, "rms_norm_eps": 1e-6, "rope_theta": 1e6}
LLAMA = {"model_type": "llama", "num_hidden_layers": 2, "rms_norm_eps": 1e-5, "rope_theta": 1e4}


def sizes(hidden, heads, kv_heads, head_dim, ffn, vocab, tied):
    return {
        "hidden_size": hidden, "num_attention_heads": heads, "num_key_value_heads": kv_heads,
        "head_dim": head_dim, "intermediate_size": ffn, "vocab_size": vocab,
        "tie_word_embeddings": tied, "max_position_embeddings": 256,
    }


# eps is larger than usual but in one case: where it is small, an element whose gradient is nothing but
# rounding errors takes a whole step in a random direction, and little can be asked of the result.
def adamw(lr, beta2=0.999, eps=1e-4, decay=0.01, decay_vectors=True, clip=0.0):
    return {"lr": lr, "beta1": 0.9, "beta2": beta2, "eps": eps, "weight_decay": decay,
            "decay_vectors": decay_vectors, "clip": clip}


CASES = {
    "qwen2-tied": (  # H D is not C, C is no multiple of H
        {**QWEN2, **sizes(30, 4, 2, 10, 42, 67, True)}, adamw([1e-3, 2e-3, 5e-4], clip=0.5)),
    "qwen2-untied": (
        {**QWEN2, **sizes(30, 3, 1, 10, 36, 61, False)},
        adamw([1e-3] * 3, beta2=0.95, decay=0.1, decay_vectors=False)),
    "qwen2-equal": (  # as many key/value heads as query heads
        {**QWEN2, **sizes(24, 3, 3, 8, 36, 61, True)}, adamw([3e-3] * 3, eps=1e-8, clip=1e3)),
    "qwen2-linear": (  # H D is not C; rotary angles scaled by a factor
        {**QWEN2, **sizes(30, 6, 1, 8, 36, 61, False),
         "rope_scaling": {"rope_type": "linear", "factor": 4.0}},
        adamw([1e-3, 1e-3, 1e-4], decay=0.0, clip=0.1)),
    "llama-llama3": (  # H D is not C; wavelengths under, between and over the two bounds
        {**LLAMA, **sizes(26, 4, 2, 12, 34, 61, False),
         "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                          "high_freq_factor": 4.0, "original_max_position_embeddings": 64}},
        adamw([1e-3] * 3, eps=1e-5, decay=0.05)),
    "llama-tied": (
        {**LLAMA, **sizes(24, 2, 1, 14, 28, 61, True), "num_hidden_layers": 3},
        adamw([2e-3, 1e-3, 1e-3], decay_vectors=False, clip=1.0)),
}

# Lengths of a prompt and of its responses. Pages have 32 positions: prompts end within one, at the
# end of one and far into the second; responses of a single token have no row of their own.
GROUPS = [(37, [9, 1, 14]), (3, [12]), (32, [1, 5]), (2, [1]), (1, [40])]


def philox(seed, batch, prompt, sample, position):
    """Words 0 and 1 for an array of positions, as uint64."""
    mask = np.uint64(0xFFFFFFFF)
    shift = np.uint64(32)
    c0 = position.astype(np.uint64)
    c1, c2, c3 = (np.full_like(c0, v & 0xFFFFFFFF) for v in (sample, prompt, batch))
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c0, np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = ((p1 >> shift) ^ c1 ^ np.uint64(k0), p1 & mask,
                          (p0 >> shift) ^ c3 ^ np.uint64(k1), p0 & mask)
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c0, c1


def uniform(seed, stream, n):
    """n values in [-1, 1), key `seed`, counter (batch -3, prompt `stream`, sample 0, 0..n-1)."""
    hi, lo = philox(seed, -3, stream, 0, np.arange(n))
    unit = ((hi << np.uint64(32) | lo) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return 2.0 * unit - 1.0


def weight(seed, index, name, shape):
    """Tensor number `index` of a model: uniform values, rounded to float32 and then to bfloat16."""
    u = uniform(seed, index, int(np.prod(shape)))
    if len(shape) == 2:
        values = u * (2.0 / math.sqrt(shape[1]))
    elif name.endswith(".bias"):
        values = 0.5 * u
    else:
        values = 1.0 + 0.3 * u
    return torch.from_numpy(values.astype(np.float32).reshape(shape)).bfloat16().float()


def tensor_shapes(c):
    """Names and shapes in the order of a Transformers state dict."""
    hidden, ffn, vocab, dim = (c[k] for k in ("hidden_size", "intermediate_size", "vocab_size",
                                              "head_dim"))
    out = [("model.embed_tokens.weight", [vocab, hidden])]
    for layer in range(c["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        for part, heads in (("q", c["num_attention_heads"]), ("k", c["num_key_value_heads"]),
                            ("v", c["num_key_value_heads"])):
            out.append((at + f"self_attn.{part}_proj.weight", [heads * dim, hidden]))
            if c["model_type"] == "qwen2":
                out.append((at + f"self_attn.{part}_proj.bias", [heads * dim]))
        out += [(at + "self_attn.o_proj.weight", [hidden, c["num_attention_heads"] * dim]),
                (at + "mlp.gate_proj.weight", [ffn, hidden]),
                (at + "mlp.up_proj.weight", [ffn, hidden]),
                (at + "mlp.down_proj.weight", [hidden, ffn]),
                (at + "input_layernorm.weight", [hidden]),
                (at + "post_attention_layernorm.weight", [hidden])]
    out.append(("model.norm.weight", [hidden]))
    if not c["tie_word_embeddings"]:
        out.append(("lm_head.weight", [vocab, hidden]))
    return out


def inverse_frequencies(c):
    dim, scaling = c["head_dim"], c.get("rope_scaling")
    freq = 1.0 / (c["rope_theta"] ** (torch.arange(0, dim, 2, dtype=torch.float32) / dim))
    if scaling is None:
        return freq
    factor = scaling["factor"]
    if scaling["rope_type"] == "linear":
        return freq / factor
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    original = scaling["original_max_position_embeddings"]
    wavelength = 2 * math.pi / freq
    smooth = (original / wavelength - low) / (high - low)
    between = (1 - smooth) * freq / factor + smooth * freq
    scaled = torch.where(wavelength > original / low, freq / factor, freq)
    medium = (wavelength >= original / high) & (wavelength <= original / low)
    assert medium.any() and (scaled != freq).any() and (wavelength < original / high).any()
    return torch.where(medium, between, scaled)


def rms_norm(x, w, eps):
    return w * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps))


def rotate_half(x):
    a, b = x.chunk(2, dim=-1)
    return torch.cat((-b, a), dim=-1)


def attention(c, w, at, h):
    """h: (T, C). Heads first: (H, T, D)."""
    dim, heads, kv_heads = c["head_dim"], c["num_attention_heads"], c["num_key_value_heads"]
    tokens = h.shape[0]

    def project(part, n):
        y = F.linear(h, w[at + f"{part}_proj.weight"], w.get(at + f"{part}_proj.bias"))
        return y.view(tokens, n, dim).transpose(0, 1)

    q, k, v = project("q", heads), project("k", kv_heads), project("v", kv_heads)
    angles = torch.arange(tokens, dtype=torch.float32)[:, None] * inverse_frequencies(c)[None, :]
    angles = torch.cat((angles, angles), dim=-1)
    cos, sin = angles.cos().to(h.dtype), angles.sin().to(h.dtype)
    q = q * cos + rotate_half(q) * sin
    k = k * cos + rotate_half(k) * sin
    k, v = (x.repeat_interleave(heads // kv_heads, dim=0) for x in (k, v))
    scores = q @ k.transpose(1, 2) / math.sqrt(dim)
    future = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)
    out = scores.masked_fill(future, float("-inf")).softmax(-1) @ v
    return F.linear(out.transpose(0, 1).reshape(tokens, heads * dim), w[at + "o_proj.weight"])


def logits_of(c, w, ids):
    eps = c["rms_norm_eps"]
    x = F.embedding(ids, w["model.embed_tokens.weight"])
    for layer in range(c["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        x = x + attention(c, w, at + "self_attn.",
                          rms_norm(x, w[at + "input_layernorm.weight"], eps))
        h = rms_norm(x, w[at + "post_attention_layernorm.weight"], eps)
        gate = F.linear(h, w[at + "mlp.gate_proj.weight"])
        up = F.linear(h, w[at + "mlp.up_proj.weight"])
        x = x + F.linear(F.silu(gate) * up, w[at + "mlp.down_proj.weight"])
    head = w["model.embed_tokens.weight" if c["tie_word_embeddings"] else "lm_head.weight"]
    return F.linear(rms_norm(x, w["model.norm.weight"], eps), head)


def run(c, w, groups):
    """Logits, log-probabilities and entropies for all responses' tokens."""
    logits, targets = [], []
    for group in groups:
        for response in group["responses"]:
            z = logits_of(c, w, torch.tensor(group["prompt"] + response[:-1]))
            logits.append(z[len(group["prompt"]) - 1:])
            targets += response
    logits = torch.cat(logits)
    full = F.log_softmax(logits, dim=-1)
    logp = full.gather(1, torch.tensor(targets)[:, None])[:, 0]
    return logits, logp, -(full.exp() * full).sum(-1)


def gradient(c, master, groups, dtype, rounded=True):
    w = {name: (p.detach().bfloat16() if rounded else p.detach()).to(dtype).requires_grad_()
         for name, p in master.items()}
    logits, logp, entropy = run(c, w, groups)
    loss = -logp.mean()
    loss.backward()
    return logits, logp, entropy, loss.item(), {name: p.grad for name, p in w.items()}


def distance(a, b):
    """Of two dicts of tensors: the largest relative difference of norms over the tensors."""
    return max(((a[n].double() - b[n].double()).norm() / b[n].double().norm()).item() for n in b)


def train(c, start, groups, o, rounded=True):
    """Master after the steps of torch.optim.AdamW; loss and norm before each."""
    master = {name: torch.nn.Parameter(p.clone()) for name, p in start.items()}
    decayed = [p for p in master.values() if p.dim() == 2 or o["decay_vectors"]]
    rest = [p for p in master.values() if not (p.dim() == 2 or o["decay_vectors"])]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": o["weight_decay"]},
         {"params": rest, "weight_decay": 0.0}],
        lr=o["lr"][0], betas=(o["beta1"], o["beta2"]), eps=o["eps"])
    steps = []
    for lr in o["lr"]:
        _, _, _, loss, grads = gradient(c, master, groups, torch.float32, rounded)
        for name, p in master.items():
            p.grad = grads[name].clone()
        limit = o["clip"] if o["clip"] > 0 else float("inf")
        norm = torch.nn.utils.clip_grad_norm_(master.values(), limit).item()
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.step()
        steps.append({"loss": loss, "norm": norm})
    return {name: p.detach() for name, p in master.items()}, steps


def text(tensor):
    return base64.b64encode(tensor.detach().numpy().astype("<f4").tobytes()).decode("ascii")


def make_groups(seed, vocab):
    ids = ((uniform(seed, 1000, sum(p + sum(r) for p, r in GROUPS)) + 1.0) / 2.0 * vocab).astype(int)
    ids, at, groups = ids.tolist(), 0, []
    for prompt, responses in GROUPS:
        parts = []
        for n in [prompt] + responses:
            parts.append(ids[at:at + n])
            at += n
        groups.append({"prompt": parts[0], "responses": parts[1:]})
    return groups


def write_case(name, seed):
    c, o = CASES[name]
    shapes = tensor_shapes(c)
    groups = make_groups(seed, c["vocab_size"])
    start = {n: weight(seed, i, n, shape) for i, (n, shape) in enumerate(shapes)}
    logits, logp, entropy, loss, grads = gradient(c, start, groups, torch.float32)
    exact = gradient(c, start, groups, torch.float64)
    master, steps = train(c, start, groups, o)
    unrounded, _ = train(c, start, groups, o, rounded=False)
    moved = {n: master[n] - start[n] for n in start}

    # float32 here is as good as the tolerances of the test need it to be
    assert (logits - exact[0]).abs().max() < 5e-6 * exact[0].abs().max()
    assert distance(grads, exact[4]) < 2e-5
    print(f"{name}: {sum(p.numel() for p in start.values())} parameters, loss {loss:.4f}, norms "
          + " ".join(f"{s['norm']:.4f}" for s in steps)
          + f"; float32 is {distance(grads, exact[4]):.1e} from float64 in the gradient; without "
          f"rounding to bfloat16 the updates would differ by "
          f"{distance({n: unrounded[n] - start[n] for n in start}, moved):.1e}")
    root = {
        "config": c, "seed": seed, "groups": groups, "adamw": o, "steps": steps,
        "logits": text(logits), "logp": text(logp), "entropy": text(entropy),
        "tensors": [{"name": n, "shape": shape, "grad": text(grads[n]), "master": text(master[n])}
                    for n, shape in shapes],
    }
    with open(os.path.join(DATA, f"golden-{name}.json"), "w", encoding="ascii") as out:
        json.dump(root, out, indent=0, separators=(",", ":"))
        out.write("\n")


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for i, name in enumerate(CASES):
        if len(sys.argv) == 1 or name in sys.argv[1:]:
            write_case(name, 100 + i)


if __name__ == "__main__":
    main()
