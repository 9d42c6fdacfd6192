"""Compares the speed and accuracy of Math-Verify on answer cases with this project's grader, in one run.

Usage, from the workspace root:

    python3 -m venv venv && venv/bin/pip install math-verify==0.9.0 latex2sympy2_extended==1.11.0
    cargo build --release -p regrowth-verifiers --example throughput
    venv/bin/python benches/peers/math_verify_speed.py CASES.jsonl target/release/examples/throughput

CASES.jsonl contains rows {gold, pred, form, gold_form, expect, tier}. Both graders run on one core, one
after the other, on the same rows; extraction of the answers is included.
"""

import json
import re
import statistics
import subprocess
import sys
import time


def main() -> None:
    cases, throughput = sys.argv[1], sys.argv[2]
    from math_verify import parse, verify

    rows = [json.loads(line) for line in open(cases, encoding="utf-8")]
    rows = [row for row in rows if not row.get("choices")]
    times, right = [], 0
    for row in rows:
        start = time.perf_counter()
        gold = row["gold"] if row.get("gold_form") == "text" else f"${row['gold']}$"
        pred = row["pred"] if row.get("form") == "text" else f"${row['pred']}$"
        try:
            verdict = verify(parse(gold), parse(pred))
        except Exception:  # a crash counts as a rejection
            verdict = False
        times.append(time.perf_counter() - start)
        right += verdict == row["expect"]
    times.sort()
    rate = len(rows) / sum(times)
    print(
        f"math-verify: {len(rows)} pairs, {rate:.1f} pairs/s, p50 {statistics.median(times) * 1e3:.2f} ms, "
        f"p99 {times[int(len(times) * 0.99)] * 1e3:.1f} ms, right {right}/{len(rows)}"
    )
    ours = subprocess.run([throughput, cases, "20"], check=True, capture_output=True, text=True).stdout.strip()
    print("regrowth:", ours)
    found = re.search(r"([0-9]+) pairs/s", ours)
    if found:
        print(f"ratio {float(found.group(1)) / rate:.0f}x")


if __name__ == "__main__":
    main()
