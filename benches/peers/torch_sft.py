"""Compares tokens per second of supervised training with PyTorch: same shapes, same tokens, same threads.

Usage, from the workspace root (the environment of trl_dpo.py):

    cargo build --release
    venv/bin/python benches/peers/torch_sft.py WORK

Sequences of 128 tokens without padding, 16 per step, AdamW, f32. PyTorch runs transformers' Llama with
its own attention kernel in a plain loop; this project runs `regrowth sft`. Medians of interleaved runs.
"""

import json
import pathlib
import random
import statistics
import subprocess
import sys
import time

THREADS = 2
LENGTH, BATCH, STEPS = 128, 16, 12
SHAPES = {"width 128, 4 layers": (128, 352, 4, 4), "width 256, 6 layers": (256, 704, 6, 4)}
REGROWTH = "target/release/regrowth"


def prepare(work: pathlib.Path, shape: tuple) -> pathlib.Path:
    width, inner, layers, heads = shape
    folder = work / f"init-{width}"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        (folder / name).write_bytes((pathlib.Path("policy/bundled") / name).read_bytes())
    config = json.loads(pathlib.Path("policy/bundled/config.json").read_text())
    config.update(hidden_size=width, intermediate_size=inner, num_hidden_layers=layers,
                  num_attention_heads=heads, num_key_value_heads=heads, head_dim=width // heads)
    (folder / "config.json").write_text(json.dumps(config))
    draw = random.Random(0)
    with open(work / "rows.jsonl", "w", encoding="utf-8") as out:
        for _ in range(BATCH * STEPS):
            digits = "".join(f" {draw.randint(0, 9)}" for _ in range(LENGTH))
            out.write(json.dumps({"prompt": digits[:2], "completion": digits[2:], "eos": False}) + "\n")
    return folder


def ours(work: pathlib.Path, folder: pathlib.Path) -> float:
    out = work / "out"
    subprocess.run(["rm", "-rf", str(out)], check=True)
    done = subprocess.run(
        [REGROWTH, "sft", "--init", folder, "--data", work / "rows.jsonl", "--out", out,
         "--batch-tokens", str(BATCH * LENGTH), "--micro-tokens", str(BATCH * LENGTH // THREADS),
         "--threads", str(THREADS), "--no-tensorboard", "--json"],
        check=True, capture_output=True, text=True)
    return BATCH * LENGTH * STEPS / json.loads(done.stdout)["seconds"]


def pytorch(work: pathlib.Path, folder: pathlib.Path) -> float:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    torch.set_num_threads(THREADS)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder)).float().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    rows = [json.loads(line) for line in open(work / "rows.jsonl", encoding="utf-8")]
    ids = torch.tensor([tokenizer(r["prompt"] + r["completion"])["input_ids"] for r in rows])
    assert ids.shape[1] == LENGTH

    def step(batch):
        model(input_ids=batch, labels=batch, use_cache=False).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    step(ids[:BATCH])  # warm-up: the first step allocates memory
    start = time.perf_counter()
    for batch in ids.split(BATCH):
        step(batch)
    return ids.numel() / (time.perf_counter() - start)


def main() -> None:
    if sys.argv[1] == "worker":
        print(pytorch(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])))
        return
    work = pathlib.Path(sys.argv[1])
    for name, shape in SHAPES.items():
        folder = prepare(work, shape)
        mine, peer = [], []
        for _ in range(5):
            mine.append(ours(work, folder))
            done = subprocess.run([sys.executable, __file__, "worker", work, folder], check=True,
                                  capture_output=True, text=True)
            peer.append(float(done.stdout.split()[-1]))
        ratio = statistics.median(mine) / statistics.median(peer)
        print(f"{name}: ours {statistics.median(mine):.0f} [{min(mine):.0f}, {max(mine):.0f}] "
              f"tokens/s, PyTorch {statistics.median(peer):.0f} [{min(peer):.0f}, {max(peer):.0f}], "
              f"ratio {ratio:.2f}", flush=True)


if __name__ == "__main__":
    main()
