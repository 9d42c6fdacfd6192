#!/usr/bin/env python3
"""Compares search without the reference to greedy decoding, majority and best-of, by computed tokens.

    cargo build --release -p regrowth-trainer
    python3 benches/scripts/strategies.py target/release/regrowth FOLDER POLICY \
        [--problems builtin:arithmetic] [--split test] [--limit 2000] [--seed 0]
        [--strategies greedy majority@8:t=0.7 mcts@16:t=0.7 ...]

A strategy is a value of `regrowth evaluate --strategy`, with `:t=T` for the temperature, `:c=C` for the
weight of exploration and `:b=B1,B2` for the candidates of a search. Searches and best-of use no judge
unless `:judge=FORM` (question, likelihood, ...) is given; false equations cost 1. For each strategy, prints the
accuracy, computed tokens per problem (prompts, steps, judgements), and the exact McNemar test against the first
strategy. A finished strategy is not run again.
"""

import argparse
import json
import math
import pathlib
import subprocess

STRATEGIES = [
    "greedy", "majority@4:t=0.7", "majority@8:t=0.7", "majority@16:t=0.7", "majority@32:t=0.7",
    "best-of@8:t=0.7:judge=question", "mcts@4:t=0.7:b=8,5", "mcts@16:t=0.7:b=8,5", "mcts-vote@64:t=0.7:b=8,5",
]


def settings(words):
    """The settings file for a strategy's search."""
    named = dict(w.split("=", 1) for w in words if "=" in w)
    lines = ['preset = "builtin"', "[search]", f"c_puct = {named.get('c', '1.0')}"]
    if "b" in named:
        lines.append(f"breadth = [{named['b']}]")
    lines += [f"sampling = {{ temperature = {named.get('t', '1.0')} }}", "[search.value]",
              f"self_evaluation = {str('judge' in named).lower()}", "arithmetic = 1.0"]
    if "judge" in named:
        lines.append(f"judge = \"{named['judge']}\"")
    return "\n".join(lines) + "\n"


def folder_of(name):
    """The name of a strategy's folder."""
    return name.replace(":", "_").replace("=", "").replace(",", "-")


def measured(args, name):
    """Computed tokens per problem, and whether each problem was answered right."""
    out = pathlib.Path(args.folder, folder_of(name))
    done = out / "answer.json"
    if not done.exists():
        out.mkdir(parents=True, exist_ok=True)
        strategy, *words = name.split(":")
        (out / "search.toml").write_text(settings(words), encoding="utf-8")
        command = [args.binary, "evaluate", "--policy", args.policy, "--problems", args.problems,
                   "--split", args.split, "--limit", str(args.limit), "--seed", str(args.seed),
                   "--strategy", strategy, "--max-tokens", "256",
                   "--config", str(out / "search.toml"), "--out", str(out), "--json"]
        answer = subprocess.run(command, check=True, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL).stdout
        done.write_bytes(answer)
    return read(out)


def read(out):
    """Results in the folder of a finished strategy: computed tokens per problem, and whether each was right."""
    usage = json.loads((out / "answer.json").read_text(encoding="utf-8"))["usage"]
    tokens = sum(usage.get(k, 0) for k in ("prefilled", "recomputed", "sampling_rows", "judged"))
    [samples] = out.rglob("samples_*.jsonl")
    rows = [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()]
    return tokens / len(rows), [row["exact_match"] for row in rows]


def mcnemar(gained, lost):
    """Exact two-sided p value."""
    n = gained + lost
    tail = sum(math.comb(n, i) for i in range(min(gained, lost) + 1)) / 2**n
    return min(1.0, 2 * tail)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("folder")
    parser.add_argument("policy")
    parser.add_argument("--problems", default="builtin:arithmetic")
    parser.add_argument("--split", default="test")
    parser.add_argument("--limit", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--strategies", nargs="+", default=STRATEGIES)
    args = parser.parse_args()
    first = None
    for name in args.strategies:
        tokens, right = measured(args, name)
        first = first or right
        pairs = list(zip(first, right))
        gained, lost = pairs.count((0, 1)), pairs.count((1, 0))
        print(f"{name}: {100 * sum(right) / len(right):.1f} % at {tokens:.0f} tokens per problem, {gained} gained, "
              f"{lost} lost, p = {mcnemar(gained, lost):.1e}", flush=True)


if __name__ == "__main__":
    main()
