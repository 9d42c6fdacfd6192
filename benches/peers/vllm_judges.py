"""Makes tiny reward models for `vllm_judges.sh`, and compares a served judge with the same one in this process.

    python vllm_judges.py make FOLDER MODEL LABELS    a random reward model with MODEL's tokenizer
    python vllm_judges.py compare OWN SERVED LIMIT    the output folders of two searches

`compare` compares the self-evaluations of equal steps in two searches with the scripted policy, one with the judge in
this process (OWN) and one with the served judge. It fails if a self-evaluation differs by more than LIMIT or is unknown
in only one search, or if there are fewer than 24 steps.
"""

import json
import pathlib
import shutil
import sys

TOKENIZER = ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json"]


def make(folder: str, model: str, labels: str) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    source = json.loads(pathlib.Path(model, "config.json").read_text())
    # The model type of SmolLM2: transformers and vLLM tokenise differently for other types, whatever tokenizer.json
    # contains.
    config = AutoConfig.for_model(
        "llama",
        vocab_size=source["vocab_size"],
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        initializer_range=0.3,
        num_labels=int(labels),
        eos_token_id=source["eos_token_id"],
        bos_token_id=source["bos_token_id"],
        pad_token_id=source.get("pad_token_id", source["eos_token_id"]),
    )
    torch.manual_seed(int(labels))
    scorer = AutoModelForSequenceClassification.from_config(config).float()
    scorer.save_pretrained(folder)
    for name in TOKENIZER:
        if pathlib.Path(model, name).is_file():
            shutil.copy(pathlib.Path(model, name), folder)


def judgements(folder: str) -> dict[tuple[str, str], float | None]:
    """Self-evaluation of each step, keyed by its problem and the text of the solution up to it."""
    found = {}
    for line in pathlib.Path(folder, "trees.jsonl").read_text().splitlines():
        tree = json.loads(line)
        texts: list[str] = []
        for node in tree["nodes"]:
            parent = node.get("parent")
            texts.append("" if parent is None else texts[parent] + node["text"])
            if parent is not None:
                found[tree["problem"]["id"], texts[-1]] = node.get("self_evaluation")
    return found


def compare(own: str, served: str, limit: str) -> None:
    mine, theirs = judgements(own), judgements(served)
    shared = [key for key in mine if key in theirs]
    unknown = [(mine[key] is None) != (theirs[key] is None) for key in shared]
    values = [(mine[key], theirs[key]) for key in shared if mine[key] is not None and theirs[key] is not None]
    largest = max(abs(a - b) for a, b in values)
    low, high = min(a for a, _ in values), max(a for a, _ in values)
    print(
        f"{len(values)} steps with C from {low:.3f} to {high:.3f}: largest difference {largest:.2e}; "
        f"{sum(unknown)} unknown to one alone; {len(mine) - len(shared)} steps of one search alone"
    )
    if largest > float(limit) or any(unknown) or len(values) < 24:
        sys.exit(f"expected at least 24 steps, none unknown, and at most {limit}")


if __name__ == "__main__":
    {"make": make, "compare": compare}[sys.argv[1]](*sys.argv[2:])
