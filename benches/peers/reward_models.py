"""Writes scores of tiny reward models, computed by Hugging Face transformers.

Usage, from the workspace root:

    python3 -m venv venv && venv/bin/pip install torch==2.15.0 transformers==5.24.0
    venv/bin/python benches/peers/reward_models.py policy/tests/golden/reward_models.json

Weights come from an integer hash, as in parity.py; policy/tests/it/reward_model.rs makes the same ones. Sequences
of different lengths go through transformers in one batch padded on the right. A score is read at the last token
that is not padding: the sigmoid of one label, the softmax of two.
"""

import json
import sys

import torch
from parity import BASE, LENGTHS, fill, sequence
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

PAD = 95
MODELS = {
    "llama, one label": (AutoModelForSequenceClassification, "llama", 1, {}),
    "qwen2, two labels": (AutoModelForSequenceClassification, "qwen2", 2, {"num_key_value_heads": 2}),
    "qwen3, one label, tied": (
        AutoModelForSequenceClassification,
        "qwen3",
        1,
        {"head_dim": 16, "tie_word_embeddings": True},
    ),
    "qwen2, each token, two labels and a bias": (AutoModelForTokenClassification, "qwen2", 2, {}),
}


def scores(model: torch.nn.Module, rows: list[list[int]]) -> list[float]:
    longest = max(map(len, rows))
    ids = torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=mask).logits.double()
    if logits.dim() == 3:
        logits = torch.stack([logits[i, len(row) - 1] for i, row in enumerate(rows)])
    if logits.shape[1] == 1:
        return torch.sigmoid(logits[:, 0]).tolist()
    return torch.softmax(logits, 1)[:, 1].tolist()


def main() -> None:
    golden = []
    # No sequence may end in the padding token: transformers uses it to find the end.
    rows = [row[:-1] + [7] for row in map(sequence, LENGTHS)]
    for name, (auto, kind, labels, changes) in MODELS.items():
        settings = {**BASE, **changes, "num_labels": labels, "pad_token_id": PAD}
        config = AutoConfig.for_model(kind, **settings)
        config._attn_implementation = "eager"
        model = auto.from_config(config).float().eval()
        fill(model)
        saved = json.loads(config.to_json_string(use_diff=False))
        saved["architectures"] = [type(model).__name__]
        found = [round(v, 9) for v in scores(model, rows)]
        golden.append({"name": name, "config": saved, "lengths": LENGTHS, "scores": found})
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        out.write("[\n" + ",\n".join(json.dumps(g) for g in golden) + "\n]\n")


if __name__ == "__main__":
    main()
