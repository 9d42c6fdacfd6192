"""Compares preference training with TRL in one run: loss curves, work, time and memory.

Usage, from the workspace root:

    python3 -m venv venv && venv/bin/pip install torch==2.15.0 transformers==5.23.0 trl==1.16.0 \
        peft==0.21.2 accelerate==1.15.0 datasets==5.2.0
    cargo build --release
    venv/bin/python benches/peers/trl_dpo.py curves WORK   # five losses: 50 steps of SGD, 10 of AdamW
    venv/bin/python benches/peers/trl_dpo.py cost WORK     # tokens, seconds and memory per pair

Both programs start from the bundled model, written to WORK in Hugging Face layout, and read the same
pairs of a search on the built-in arithmetic task, with the same number of threads. Every TRL run is a
separate process, so its peak memory is measured alone.
"""

import argparse
import json
import pathlib
import resource
import statistics
import subprocess
import sys
import time

BINARIES = pathlib.Path("target/release")
THREADS = 2
BETA = 0.1
BATCH = 8
# Learning rates of gradient descent, by loss.
RATES = {"sigmoid": 0.01, "robust": 0.003, "hinge": 0.001, "ipo": 0.0003, "sigmoid_norm": 0.05}
# TRL's losses: the name in this project, and TRL's settings.
LOSSES = {
    "sigmoid": ("sigmoid", {}),
    "ipo": ("ipo", {}),
    "hinge": ("hinge", {}),
    "robust": ("robust:flip=0.2", {"label_smoothing": 0.2}),
    "sigmoid_norm": ("sigmoid_norm", {}),
}


def prepare(work: pathlib.Path, problems: int) -> None:
    """Writes the model as a folder, and pairs of the default search."""
    model = work / "model"
    if not model.exists():
        bundled = pathlib.Path("policy/bundled")
        model.mkdir(parents=True)
        for file in bundled.iterdir():
            if file.suffix in {".json", ".safetensors"}:
                (model / file.name).write_bytes(file.read_bytes())
    if not (work / "search" / "pairs.jsonl").exists():
        run([BINARIES / "mcts", "search", "--policy", model, "--problems", "builtin:arithmetic",
             "--limit", problems, "--out", work / "search"])
    rows = [json.loads(line) for line in open(work / "search" / "pairs.jsonl", encoding="utf-8")]
    with open(work / "rows.jsonl", "w", encoding="utf-8") as out:
        for row in rows:
            text = {key: row[key] for key in ("prompt", "chosen", "rejected")}
            out.write(json.dumps(text) + "\n")


def run(command: list) -> str:
    done = subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True)
    return done.stdout + done.stderr


def trl(work: pathlib.Path, settings: dict) -> dict:
    """Runs TRL once in a separate process."""
    out = run([sys.executable, __file__, "worker", work, "--settings", json.dumps(settings)])
    return json.loads(out[out.index("RESULT") + 6 :].splitlines()[0])


def worker(work: pathlib.Path, settings: dict) -> None:
    import torch
    from datasets import Dataset
    from torch.utils.data import SequentialSampler
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
    from trl import DPOConfig, DPOTrainer

    torch.set_num_threads(THREADS)
    folder = str(work / "model")
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    rows = [json.loads(line) for line in open(work / "rows.jsonl", encoding="utf-8")]
    losses, tokens = [], [0]

    class Trainer(DPOTrainer):
        def _get_train_sampler(self, dataset=None):
            return SequentialSampler(dataset or self.train_dataset)

        def compute_loss(self, model, inputs, *args, **kwargs):
            loss = super().compute_loss(model, inputs, *args, **kwargs)
            losses.append(float(loss[0] if isinstance(loss, tuple) else loss))
            # The forward and backward pass of the policy, and the forward pass of the reference.
            tokens[0] += 2 * int(inputs["attention_mask"].sum())
            return loss

    name = settings["loss"]
    config = DPOConfig(
        output_dir=str(work / "trl"),
        loss_type=[name],
        beta=BETA,
        optim=settings["optimizer"],
        learning_rate=settings["learning_rate"],
        lr_scheduler_type="constant",
        warmup_steps=0,
        weight_decay=0.0,
        max_grad_norm=0.0,
        adam_beta1=0.9,
        adam_beta2=0.95,
        per_device_train_batch_size=BATCH,
        num_train_epochs=settings["epochs"],
        max_steps=settings.get("steps", -1),
        max_length=None,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        save_strategy="no",
        report_to="none",
        logging_strategy="no",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        **LOSSES[name][1],
    )
    trainer = Trainer(
        model=model, args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer
    )
    before = rss()
    start = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    result = {"losses": losses, "seconds": seconds, "tokens": tokens[0], "memory": peak - before}
    print("RESULT" + json.dumps(result))


def rss() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096


def ours(work: pathlib.Path, pairs: str, flags: list) -> pathlib.Path:
    out = work / "ours"
    subprocess.run(["rm", "-rf", str(out)], check=True)
    run([BINARIES / "regrowth", "train", "--pairs", work / pairs, "--policy", work / "model",
         "--out", out, "--beta", BETA, "--schedule", "constant", "--warmup", 0, "--weight-decay", 0,
         "--max-grad-norm", 0, "--batch-pairs", BATCH, "--in-order", "--threads", THREADS, *flags])
    return out


def curves(work: pathlib.Path) -> None:
    """Checks |a - b| <= 1e-3 max(1, |b|) at every step: full completions with EOS, naive mode, f32."""
    worst_of_all = 0.0
    for optimizer, steps, rate in [("sgd", 50, None), ("adamw_torch", 10, 1e-4)]:
        for name, (spec, _) in LOSSES.items():
            # At these rates the loss falls smoothly. At higher rates, rounding errors grow and two programs
            # diverge after some steps. Losses averaged over tokens allow higher rates.
            rate_here = rate or RATES[name]
            epochs = 4
            peer = trl(work, {"loss": name, "optimizer": optimizer, "learning_rate": rate_here,
                              "epochs": epochs, "steps": steps})["losses"]
            flags = ["--loss", spec, "--whole-completions", "--naive", "--epochs", epochs,
                     "--learning-rate", rate_here,
                     "--optimizer", "sgd" if optimizer == "sgd" else "adam_w"]
            out = ours(work, "rows.jsonl", flags)
            rows = [json.loads(line) for line in open(out / "metrics.jsonl", encoding="utf-8")]
            mine = [row["loss"] for row in rows[:steps]]
            worst = max(abs(a - b) / max(1.0, abs(b)) for a, b in zip(mine, peer, strict=True))
            worst_of_all = max(worst_of_all, worst)
            print(f"{optimizer:12} {name:13} {steps} steps: loss {peer[0]:.5f} -> {peer[-1]:.5f}, "
                  f"largest difference {worst:.2e}", flush=True)
    print("largest of all:", f"{worst_of_all:.2e}", "ok" if worst_of_all <= 1e-3 else "TOO LARGE")
    sys.exit(worst_of_all > 1e-3)


def cost(work: pathlib.Path, repeats: int) -> None:
    """One epoch over the pairs: tokens, seconds and memory, medians of interleaved runs."""
    settings = {"loss": "sigmoid", "optimizer": "adamw_torch", "learning_rate": 1e-6, "epochs": 1}
    flags = ["--loss", "sigmoid", "--optimizer", "adam_w", "--learning-rate", 1e-6, "--json"]
    pairs = sum(1 for _ in open(work / "rows.jsonl", encoding="utf-8"))
    peers, mine = [], []
    for _ in range(repeats):
        peers.append(trl(work, settings))
        out = ours(work, "search/pairs.jsonl", flags)
        done = json.load(open(out / "train.json", encoding="utf-8"))
        tokens = done["dpo"]["tokens"] + done["dpo"]["reference_tokens"]
        memory = done["memory"]["peak"]
        mine.append({"tokens": tokens, "seconds": done["seconds"], "memory": memory})
    for name, unit, scale in [("tokens", "tokens per pair", 1 / pairs),
                              ("seconds", "ms per pair", 1000 / pairs),
                              ("memory", "MB above the loaded model", 1e-6)]:
        a = sorted(row[name] * scale for row in mine)
        b = sorted(row[name] * scale for row in peers)
        ratio = statistics.median(b) / statistics.median(a)
        print(f"{unit}: ours {statistics.median(a):.2f} [{a[0]:.2f}, {a[-1]:.2f}], TRL "
              f"{statistics.median(b):.2f} [{b[0]:.2f}, {b[-1]:.2f}], ratio {ratio:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["curves", "cost", "worker"])
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--settings", type=json.loads, default={})
    parser.add_argument("--problems", type=int, default=120)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    if args.what == "worker":
        return worker(args.work, args.settings)
    prepare(args.work, args.problems)
    return curves(args.work) if args.what == "curves" else cost(args.work, args.repeats)


if __name__ == "__main__":
    main()
