#!/usr/bin/env python3
"""Measures how the peak memory of a round grows with its number of problems, and how soon a killed round resumes.

    cargo build --release -p regrowth-trainer
    python3 benches/scripts/rounds_scale.py target/release/regrowth [FOLDER]

Runs one round of 32 simulations per root with the scripted policy and one thread, on 1,000 and on 10,000
problems, and prints the median peak resident memory of each. (With more threads, timing decides how many
finished trees wait for their turn to be written.) Then kills a run of 10,000 problems at 90 % of its trees,
resumes it and prints the time from the start of the process to the first new tree. Exits with status 1 if memory
grows by more than a factor of 1.2 or the resume takes more than 2 s.
"""

import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

SMALL, LARGE = 1_000, 10_000
RUNS = 5


def command(binary, run, problems):
    options = {
        "run": run, "policy": "scripted", "problems": "builtin:arithmetic", "rounds": 1,
        "problems-per-round": problems, "simulations": 32, "threads": 1, "validation-problems": 20,
        "test-problems": 20,
    }
    return [binary, "iterate"] + [word for k, v in options.items() for word in (f"--{k}", str(v))]


def start(binary, run, problems):
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command(binary, run, problems), **quiet)


def peak(binary, run, problems):
    """Peak resident MiB and seconds of a complete run."""
    began = time.perf_counter()
    child = start(binary, run, problems)
    _, status, usage = os.wait4(child.pid, 0)
    assert status == 0, f"the run ended with {status}"
    return usage.ru_maxrss / 1024, time.perf_counter() - began


def measured(binary, run, problems):
    """Median peak of a few runs, because timing decides which trees wait for their turn to be written."""
    peaks, times = [], []
    for _ in range(RUNS):
        shutil.rmtree(run, ignore_errors=True)
        mib, seconds = peak(binary, run, problems)
        peaks.append(mib)
        times.append(seconds)
    middle = statistics.median(peaks)
    print(f"{problems} problems: peak {middle:.0f} MiB ({min(peaks):.0f} to {max(peaks):.0f} in {RUNS} "
          f"runs), {statistics.median(times):.1f} s")
    return middle


def size(run):
    path = os.path.join(run, "round-0001", "trees.jsonl.sums")
    return os.path.getsize(path) if os.path.exists(path) else 0


def resume_seconds(binary, run, whole):
    """Kills a run at 90 % of the trees and waits for the first tree after the resume."""
    child = start(binary, run, LARGE)
    while size(run) < 0.9 * whole:
        assert child.poll() is None, "the run ended before it was killed"
        time.sleep(0.001)
    child.send_signal(signal.SIGKILL)
    child.wait()
    before = size(run)
    began = time.perf_counter()
    child = start(binary, run, LARGE)
    while size(run) <= before and child.poll() is None:
        time.sleep(0.001)
    seconds = time.perf_counter() - began
    child.wait()
    assert child.returncode == 0, "the resumed run failed"
    return before / whole, seconds


def main():
    binary = os.path.abspath(sys.argv[1])
    folder = tempfile.mkdtemp(dir=sys.argv[2] if len(sys.argv) > 2 else None)
    runs = {name: os.path.join(folder, name) for name in ("small", "large", "killed")}
    small = measured(binary, runs["small"], SMALL)
    large = measured(binary, runs["large"], LARGE)
    print(f"peak memory of {LARGE} problems: {large / small:.2f} times that of {SMALL}")
    at, seconds = resume_seconds(binary, runs["killed"], size(runs["large"]))
    names = ("trees.jsonl", "pairs.jsonl")
    read = [open(os.path.join(runs[r], "round-0001", n), "rb") for n in names for r in ("large", "killed")]
    same = all(a.read() == b.read() for a, b in zip(read[::2], read[1::2]))
    print(f"killed at {100 * at:.0f} %: first new tree {seconds:.2f} s after the start; same bytes: {same}")
    shutil.rmtree(folder)
    sys.exit(0 if large <= 1.2 * small and seconds <= 2 and same else 1)


if __name__ == "__main__":
    main()
