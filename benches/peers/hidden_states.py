"""Writes hidden states of a real checkpoint, computed by Hugging Face transformers.

Usage, from the workspace root:

    python3 -m venv venv && venv/bin/pip install torch==2.15.0 transformers==5.24.0
    venv/bin/python benches/peers/hidden_states.py SMOLLM2_FOLDER > policy/tests/golden/hidden_states.json

The states are those of the last layer after the final norm, in f32, at the last tokens of three prefixes of a
solution; policy/tests/it/hidden_states.rs compares the engine's states with them.
"""

import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

QUESTION = "Natalia sold clips to 48 friends in April, and half as many in May. How many clips in total?"
STEPS = ["She sold 48 / 2 = 24 clips in May.\n", "In total she sold 48 + 24 = 72 clips.\n", "The answer is 72."]


def main() -> None:
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
    model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
    ids = tokenizer(f"{QUESTION}\n", add_special_tokens=False).input_ids
    ends = []
    for step in STEPS:
        ids += tokenizer(step, add_special_tokens=False).input_ids
        ends.append(len(ids))
    with torch.no_grad():
        states = model.model(input_ids=torch.tensor([ids])).last_hidden_state[0]
    found = [{"end": end, "state": [round(v, 5) for v in states[end - 1].tolist()]} for end in ends]
    json.dump({"ids": ids, "states": found}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
