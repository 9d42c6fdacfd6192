"""Writes log-probabilities of tiny models of every supported family, computed by Hugging Face transformers.

Usage, from the workspace root:

    python3 -m venv venv && venv/bin/pip install torch==2.15.0 transformers==5.24.0
    venv/bin/python benches/peers/parity.py policy/tests/golden/parity.json

Weights come from an integer hash of name and index, so the golden file contains no weights: the test in
policy/tests/it/parity.rs makes the same ones. Sequences of different lengths go through transformers in
one batch padded on the right.
"""

import json
import sys
import zlib

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForCausalLM

VOCAB = 96
BASE = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-6,
    "max_position_embeddings": 256,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "rope_theta": 10000.0,
    "bos_token_id": None,
    "eos_token_id": 0,
    "pad_token_id": None,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
MODELS = {
    "llama 2": ("llama", {}),
    "llama 3.1: llama3 rope scaling, grouped queries, tied": (
        "llama",
        {"num_key_value_heads": 2, "tie_word_embeddings": True, "rope_theta": 500000.0,
         "rope_scaling": LLAMA3},
    ),
    "llama: linear rope scaling, biases": (
        "llama",
        {"rope_scaling": {"rope_type": "linear", "factor": 4.0}, "attention_bias": True},
    ),
    "llama: yarn rope scaling": (
        "llama",
        {"rope_scaling": {"rope_type": "yarn", "factor": 4.0,
                          "original_max_position_embeddings": 64}},
    ),
    "qwen2: yarn rope scaling with all its settings": (
        "qwen2",
        {"rope_scaling": {"rope_type": "yarn", "factor": 8.0, "beta_fast": 16.0, "beta_slow": 2.0,
                          "mscale": 0.8, "mscale_all_dim": 0.5, "truncate": False,
                          "original_max_position_embeddings": 32}},
    ),
    "llama: dynamic rope scaling within the context": (
        "llama",
        {"rope_scaling": {"rope_type": "dynamic", "factor": 2.0,
                          "original_max_position_embeddings": 64}},
    ),
    "llama: longrope scaling within the original context": (
        "llama",
        {"original_max_position_embeddings": 200, "max_position_embeddings": 400,
         "rope_scaling": {"rope_type": "longrope", "short_factor": [1.0, 1.2, 1.5, 2.0],
                          "long_factor": [1.0, 2.0, 4.0, 8.0]}},
    ),
    "mistral: contexts past the sliding window": (
        "mistral",
        {"sliding_window": 16, "num_key_value_heads": 2, "head_dim": 8},
    ),
    "mistral: no window": ("mistral", {"sliding_window": None, "head_dim": 16}),
    "qwen2: biases of q, k, v": ("qwen2", {"num_key_value_heads": 1, "tie_word_embeddings": True}),
    "qwen2: window on the upper layers": (
        "qwen2",
        {"use_sliding_window": True, "sliding_window": 12, "max_window_layers": 1},
    ),
    "qwen3: norms of q and k": ("qwen3", {"num_key_value_heads": 2, "head_dim": 16}),
}
LENGTHS = [3, 17, 64, 200]


def hashed(name: str, n: int) -> np.ndarray:
    """Values in [-1, 1) from a 32-bit integer hash; exact in f32."""
    x = (np.arange(n, dtype=np.uint64) * 2654435761 + zlib.crc32(name.encode())) & 0xFFFFFFFF
    for shift, factor in [(16, 0x7FEB352D), (15, 0x846CA68B)]:
        x = ((x ^ (x >> shift)) * factor) & 0xFFFFFFFF
    x = x ^ (x >> 16)
    return (x >> 8).astype(np.float64) / 2**23 - 1.0


def fill(model: torch.nn.Module) -> None:
    for name, parameter in model.named_parameters():
        values = hashed(name, parameter.numel())
        if "norm" in name:
            values = 1.0 + 0.25 * values
        else:
            values = 0.375 * values
        with torch.no_grad():
            parameter.copy_(torch.tensor(values, dtype=torch.float32).reshape(parameter.shape))


def sequence(length: int) -> list[int]:
    return [int(v) for v in np.floor((hashed(f"ids {length}", length) + 1.0) / 2 * VOCAB)]


def log_probs(model: torch.nn.Module, rows: list[list[int]]) -> list[list[float]]:
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=mask).logits.double()
    logps = torch.log_softmax(logits[:, :-1], -1).gather(2, ids[:, 1:, None])[..., 0]
    return [logps[i, : len(row) - 1].tolist() for i, row in enumerate(rows)]


def main() -> None:
    golden = []
    for name, (kind, changes) in MODELS.items():
        config = AutoConfig.for_model(kind, **{**BASE, **changes})
        config._attn_implementation = "eager"
        model = AutoModelForCausalLM.from_config(config).float().eval()
        fill(model)
        rows = [sequence(length) for length in LENGTHS]
        saved = json.loads(config.to_json_string(use_diff=False))
        saved["architectures"] = [type(model).__name__]
        golden.append(
            {
                "name": name,
                "config": saved,
                "lengths": LENGTHS,
                "logprobs": [[round(v, 7) for v in row] for row in log_probs(model, rows)],
            }
        )
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        out.write("[\n" + ",\n".join(json.dumps(g) for g in golden) + "\n]\n")


if __name__ == "__main__":
    main()
