"""Reads the output of this project with Hugging Face's tools and TensorBoard.

Usage, from the workspace root (the environment of trl_dpo.py, and tensorboard==2.21.0):

    venv/bin/python benches/peers/hf_load.py OUT

OUT is the folder of `regrowth train --lora 4 --pairs ... --out OUT` (adapter and merged checkpoint).
Checks that transformers loads the checkpoint and PEFT the adapter, that both give the log-probabilities
of `regrowth score` within 1e-4 and the greedy tokens of `regrowth evaluate`, and that TensorBoard reads
the event files.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import torch
from peft import PeftModel
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

REGROWTH = "target/release/regrowth"
ROWS = [
    {"prompt": "Finn has 7 stones. He gives 4 to Dan. How many stones does Finn have now?\n",
     "completion": " He gives 4 to Dan: 7 - 4 = 3\n"},
    {"prompt": "Finn has 9 stones. He finds 2.\n", "completion": " He finds 2: 9 + 2 = 12\n"},
]


def scores(policy: pathlib.Path) -> list[dict]:
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as rows:
        rows.write("".join(json.dumps(row) + "\n" for row in ROWS))
        rows.flush()
        done = subprocess.run([REGROWTH, "score", "--policy", policy, "--input", rows.name],
                              check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def log_probs(model, tokenizer, row: dict) -> tuple[list[int], list[float]]:
    prompt = tokenizer(row["prompt"], add_special_tokens=False)["input_ids"]
    completion = tokenizer(row["completion"], add_special_tokens=False)["input_ids"]
    ids = torch.tensor([prompt + completion])
    with torch.no_grad():
        logps = torch.log_softmax(model(ids).logits[0].double(), -1)
    at = range(len(prompt) - 1, len(prompt) + len(completion) - 1)
    return completion, [logps[i, t].item() for i, t in zip(at, completion, strict=True)]


def main() -> None:
    out = pathlib.Path(sys.argv[1])
    merged = AutoModelForCausalLM.from_pretrained(out / "checkpoint", dtype=torch.float32).eval()
    adapter = json.loads((out / "adapter" / "adapter_config.json").read_text())
    base = AutoModelForCausalLM.from_pretrained(
        adapter["base_model_name_or_path"], dtype=torch.float32
    )
    adapted = PeftModel.from_pretrained(base, str(out / "adapter")).eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(out / "checkpoint")
    for name, model, policy in [("checkpoint", merged, out / "checkpoint"),
                                ("adapter", adapted, out / "adapter")]:
        worst = 0.0
        for row, ours in zip(ROWS, scores(policy), strict=True):
            tokens, logps = log_probs(model, tokenizer, row)
            assert tokens == ours["tokens"], (tokens, ours["tokens"])
            worst = max(worst, *(abs(a - b) for a, b in zip(logps, ours["logprobs"], strict=True)))
        print(f"{name}: largest difference of log-probabilities {worst:.1e}")
        assert worst <= 1e-4
    prompt = tokenizer(ROWS[0]["prompt"], return_tensors="pt", add_special_tokens=False)["input_ids"]
    greedy = merged.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False,
                             max_new_tokens=60)
    text = tokenizer.decode(greedy[0, prompt.shape[1]:], skip_special_tokens=True)
    with tempfile.TemporaryDirectory() as folder:
        problems = pathlib.Path(folder) / "problems.jsonl"
        problems.write_text(json.dumps({"question": ROWS[0]["prompt"].strip(), "answer": "3"}) + "\n")
        subprocess.run([REGROWTH, "evaluate", "--policy", out / "checkpoint", "--problems", problems,
                        "--out", folder], check=True, capture_output=True)
        [samples] = pathlib.Path(folder).rglob("samples_*.jsonl")
        [row] = [json.loads(line) for line in samples.read_text().splitlines()]
    print("greedy by transformers:", repr(text))
    print("greedy by this project:", repr(row["resps"][0][0]))
    assert text == row["resps"][0][0]
    events = EventAccumulator(str(out / "tensorboard"))
    events.Reload()
    losses = [event.value for event in events.Scalars("train/loss")]
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert len(losses) == len(rows)
    assert all(abs(a - row["loss"]) < 1e-6 for a, row in zip(losses, rows, strict=True))
    print(f"TensorBoard: {len(losses)} steps, tags {len(events.Tags()['scalars'])}")


if __name__ == "__main__":
    main()
