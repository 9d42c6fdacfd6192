"""Compares benchmarks in lm-eval and in `regrowth evaluate --protocol lm-eval`, item by item.

    pip install -r benches/peers/lm_eval_requirements.txt
    cargo build --release -p regrowth-trainer
    python benches/peers/lm_eval_items.py --model HF_FOLDER --data DATA --work FOLDER [--limit 200]

DATA contains the published files: arc/ARC-Easy-Dev.jsonl, arc/ARC-Challenge-Dev.jsonl, openbookqa/dev.jsonl,
commonsenseqa/train_rand_split.jsonl, sciq/valid.json, gsm8k/train.jsonl and gsm8k/test_first300.jsonl. They are
converted to the layout of the Hugging Face hub, and both programs read the converted files; the model runs in
f32 in both. For each task, prints the largest difference of a log-likelihood and how many choices differ.
For tasks that generate answers, prints how many prompts and texts differ, and how many verdicts differ for equal
texts (lm_eval_recorded.py compares recorded answers, which takes minutes). Exits with status 1 if a log-likelihood
differs by more than 1e-3, or if a choice, a prompt or a verdict for equal texts differs.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys

TOLERANCE = 1e-3
SETS = {
    "arc_easy": ("arc/ARC-Easy-Dev.jsonl", "question"),
    "arc_challenge": ("arc/ARC-Challenge-Dev.jsonl", "question"),
    "openbookqa": ("openbookqa/dev.jsonl", "question_stem"),
    "commonsense_qa": ("commonsenseqa/train_rand_split.jsonl", "question"),
}


FILES = {
    "arc_easy": "arc/arc_easy.yaml",
    "arc_challenge": "arc/arc_challenge.yaml",
    "openbookqa": "openbookqa/openbookqa.yaml",
    "commonsense_qa": "commonsense_qa/default.yaml",
    "sciq": "sciq/sciq.yaml",
    "gsm8k": "gsm8k/gsm8k.yaml",
    "gsm8k_cot": "gsm8k/gsm8k-cot.yaml",
}


def rows(path):
    text = path.read_text()
    if text.lstrip().startswith("["):
        return json.loads(text)
    return [json.loads(line) for line in text.splitlines() if line]


def write(path, items):
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    return path


def served(data, work, task, limit):
    """Items and training split of a task in the layout of the hub."""
    train = None
    if task in SETS:
        name, question = SETS[task]
        items = []
        for row in rows(data / name)[:limit]:
            options = row["question"]["choices"]
            choices = {key: [option[key] for option in options] for key in ("text", "label")}
            items.append({question: row["question"]["stem"], "choices": choices, "answerKey": row["answerKey"]})
    elif task == "sciq":
        items = rows(data / "sciq/valid.json")[:limit]
    else:
        items = rows(data / "gsm8k/test_first300.jsonl")[:limit]
        keep = lambda row: {key: row[key] for key in ("question", "answer")}
        items = [keep(row) for row in items]
        train = write(work / f"{task}-train.jsonl", map(keep, rows(data / "gsm8k/train.jsonl")))
    return write(work / f"{task}.jsonl", items), train


def task_file(task, items, train, folder):
    """Copy of the harness's own task, with these files and a new name."""
    import lm_eval
    import yaml

    source = pathlib.Path(lm_eval.__file__).parent / "tasks" / FILES[task]
    config = yaml.safe_load(source.read_text())
    if "include" in config:
        config = yaml.safe_load((source.parent / config.pop("include")).read_text()) | config
    files = {"test": str(items), "validation": str(items), "train": str(train or items)}
    config.pop("tag", None)
    config |= {"task": f"local_{task}", "dataset_path": "json", "dataset_name": None, "dataset_kwargs": {"data_files": files}}
    (folder / f"{task}.yaml").write_text(yaml.safe_dump(config))
    return config["task"]


def by_lm_eval(model, task, items, train, work, cache=None):
    import lm_eval
    from lm_eval.tasks import TaskManager

    folder = work / "tasks"
    folder.mkdir(exist_ok=True)
    name = task_file(task, items, train, folder)
    results = lm_eval.simple_evaluate(
        model=model,
        tasks=[name],
        log_samples=True,
        bootstrap_iters=0,
        task_manager=TaskManager(include_path=str(folder)),
        use_cache=cache and str(cache),
    )
    return results["samples"][name]


def by_regrowth(binary, model, task, items, train, work, more=()):
    out = work / f"{task}-regrowth"
    command = [binary, "evaluate", "--protocol", "lm-eval", "--task", task, "--policy", model, "--problems", items, "--out", out, *more]
    if train:
        command += ["--shots-from", train]
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    newest = max(out.glob("*/samples_*.jsonl"), key=lambda path: path.stat().st_mtime)
    return rows(newest)


def options(task, theirs, ours):
    worst, differ = 0.0, 0
    for a, b in zip(theirs, ours, strict=True):
        sums = [float(response[0][0]) for response in a["resps"]]
        worst = max(worst, *(abs(x - y) for x, y in zip(sums, b["filtered_resps"], strict=True)))
        differ += any(a[name] != b[name] for name in ("acc", "acc_norm") if name in b)
    print(f"{task}: {len(ours)} items, largest difference of a log-likelihood {worst:.1e}, {differ} choices differ")
    return worst <= TOLERANCE and differ == 0


def texts(task, theirs, ours):
    mine = {(row["doc_id"], row["filter"]): row for row in ours}
    prompts = answers = verdicts = 0
    for row in theirs:
        other = mine[row["doc_id"], row["filter"]]
        prompts += row["arguments"][0][0] != other["prompt"]
        same = row["resps"][0][0] == other["resps"][0][0]
        answers += not same
        verdicts += same and row["exact_match"] != other["exact_match"]
    print(f"{task}: {len(theirs)} rows, {prompts} prompts differ, {answers} texts differ, {verdicts} verdicts differ on equal texts")
    return prompts == 0 and verdicts == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--regrowth", default=os.environ.get("REGROWTH_BIN", "target/release/regrowth"))
    parser.add_argument("--tasks", default=",".join([*SETS, "sciq", "gsm8k", "gsm8k_cot"]))
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--generated", type=int, default=40, help="number of items of the tasks that generate answers")
    parser.add_argument("--batch", type=int, default=1, help="number of prompts that lm-eval generates for in one batch, padded to one length")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    from lm_eval.models.huggingface import HFLM

    model, good = HFLM(pretrained=args.model, dtype="float32", device="cpu", batch_size=args.batch), True
    for task in args.tasks.split(","):
        generated = task.startswith("gsm8k")
        items, train = served(args.data, args.work, task, args.generated if generated else args.limit)
        # Finished answers are cached, so that a stopped run resumes where it stopped.
        theirs = by_lm_eval(model, task, items, train, args.work, args.work / "lm_eval_cache")
        ours = by_regrowth(args.regrowth, args.model, task, items, train, args.work)
        good &= (texts if generated else options)(task, theirs, ours)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
