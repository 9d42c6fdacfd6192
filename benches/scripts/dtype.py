"""Compares `--dtype bf16` and `--dtype int8` with f32: log-probability error, accuracy and speed.

    python3 dtype.py --bin DIR --policy CHECKPOINT --problems FILE [--dtype bf16,int8] [--limit N] [--max-tokens N]
        [--rounds N]

Runs `regrowth evaluate` greedily in all dtypes in turns, and `regrowth score --chat` on the solutions of the
f32 run. Prints the difference of log-probabilities per token, accuracies with the paired changes, and
wall and CPU seconds with their ratio (medians of `--rounds`). The seconds include loading, which is also printed:
a run of one token. Needs only Python's standard library.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import tempfile
import time


def run(command):
    """Returns wall and CPU seconds of a command, and its standard output."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.time()
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.time() - started, cpu, out


def samples(folder):
    for base, _, names in os.walk(folder):
        for name in names:
            if name.startswith("samples_"):
                with open(os.path.join(base, name), encoding="utf-8") as lines:
                    return [json.loads(line) for line in lines]
    raise SystemExit(f"{folder}: no samples file")


def text_of(row):
    """The first response in a sample row in lm-eval's layout."""
    response = row["resps"]
    while isinstance(response, list):
        response = response[0]
    return response


def question_of(row):
    return row["doc"]["question"]


def correct(row):
    return bool(row.get("exact_match", row.get("acc", 0)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--policy", required=True)
    parser.add_argument("--problems", required=True)
    parser.add_argument("--dtype", default="bf16,int8")
    parser.add_argument("--limit", type=int, default=64)
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    regrowth = os.path.join(args.bin, "regrowth")
    others = args.dtype.split(",")
    seconds = {dtype: [] for dtype in ["f32", *others]}
    loading = {dtype: [] for dtype in seconds}
    rows, logps = {}, {}
    with tempfile.TemporaryDirectory() as work:
        def evaluate(dtype, out, limit, max_tokens):
            return run([
                regrowth, "evaluate", "--policy", args.policy, "--problems", args.problems, "--limit", str(limit),
                "--max-tokens", str(max_tokens), "--dtype", dtype, "--out", out,
            ])

        for turn in range(args.rounds):
            for dtype in seconds:
                out = os.path.join(work, f"{dtype}-{turn}")
                loading[dtype].append(evaluate(dtype, out + "-loading", 1, 1)[:2])
                seconds[dtype].append(evaluate(dtype, out, args.limit, args.max_tokens)[:2])
                rows[dtype] = samples(out)
        path = os.path.join(work, "rows.jsonl")
        with open(path, "w", encoding="utf-8") as file:
            for row in rows["f32"]:
                file.write(json.dumps({"prompt": question_of(row), "completion": text_of(row)}) + "\n")
        for dtype in seconds:
            _, _, out = run([regrowth, "score", "--policy", args.policy, "--input", path, "--chat", "--dtype", dtype])
            logps[dtype] = [l for line in out.splitlines() for l in json.loads(line)["logprobs"]]
    for dtype in others:
        differences = sorted(abs(a - b) for a, b in zip(logps["f32"], logps[dtype]))
        shift = statistics.mean(b - a for a, b in zip(logps["f32"], logps[dtype]))
        print(f"{dtype}: {len(differences)} tokens: |difference of log-probability| mean "
              f"{statistics.mean(differences):.4f}, 99 % below {differences[int(0.99 * len(differences))]:.4f}, "
              f"most {differences[-1]:.4f}; mean difference {shift:+.4f}")
        pairs = [(correct(a), correct(b)) for a, b in zip(rows["f32"], rows[dtype])]
        right = [sum(pair[i] for pair in pairs) for i in (0, 1)]
        print(f"  right of {len(pairs)}: f32 {right[0]}, {dtype} {right[1]}; "
              f"gained {sum(not a and b for a, b in pairs)}, lost {sum(a and not b for a, b in pairs)}")
        for i, what in enumerate(("wall", "CPU")):
            median = {d: statistics.median(times[i] for times in seconds[d]) for d in ("f32", dtype)}
            load = {d: statistics.median(times[i] for times in loading[d]) for d in ("f32", dtype)}
            print(f"  {what} seconds: f32 {median['f32']:.1f} (loading {load['f32']:.1f}), "
                  f"{dtype} {median[dtype]:.1f} (loading {load[dtype]:.1f}): "
                  f"{median['f32'] / median[dtype]:.2f} times as fast, without loading "
                  f"{(median['f32'] - load['f32']) / (median[dtype] - load[dtype]):.2f}")


if __name__ == "__main__":
    main()
