#!/usr/bin/env python3
"""Compares the method with its baselines: the same tuning for every arm, then several seeds at the best rate.

    cargo build --release -p regrowth-trainer
    python3 benches/scripts/baselines.py target/release/regrowth FOLDER \
        [--problems builtin:arithmetic] [--policy builtin] [--seeds 5] [--test-problems 2000] \
        [--trial-rounds 1] [--samples 8] [--threads 2] [--arms step star ...]

Every arm gets a trial run at half, once and twice its default learning rate. A trial has `--trial-rounds`
rounds, a seed of its own and one test problem; validation problems choose the rate. Then every arm runs at its
rate, one seed after another (all arms of a seed before the next seed), so that an early stop leaves complete seeds.
The same command can be repeated: finished runs are kept and an interrupted run is resumed. At the end, `regrowth
compare` compares all runs. With `--samples`, the best checkpoint of every run is also sampled at temperature 1; a
table shows how often one sample is right and how often any of them is, the share of equations that hold, and the
accuracy by level.
"""

import argparse
import json
import os
import subprocess

# Default rates of the two objectives in the preset `builtin`.
PREFERENCES, SUPERVISED = 1e-4, 5e-4
ARMS = {
    "step": PREFERENCES,
    "star": SUPERVISED,
    "chosen-sft": SUPERVISED,
    "instance": PREFERENCES,
    "no-self-evaluation": PREFERENCES,
    "answers": PREFERENCES,
    "offline": PREFERENCES,
    "initial-reference": PREFERENCES,
    "no-outcome": PREFERENCES,
    "no-smoothing": PREFERENCES,
    "ipo": PREFERENCES,
    "hinge": PREFERENCES,
    "sigmoid-norm": PREFERENCES,
    "simpo": PREFERENCES,
}
# Arms that are the method with another loss or judge; the other arms are variants (`--variant`).
SETTINGS = {
    "ipo": {"loss": "ipo"},
    "hinge": {"loss": "hinge"},
    "sigmoid-norm": {"loss": "sigmoid_norm"},
    "simpo": {"loss": "simpo:gamma=0.5"},
    "answers": {"judge": "answers"},
}
TRIALS = (0.5, 1.0, 2.0)
# Differs from the seeds of all runs that are reported.
TRIAL_SEED = 1000


def iterate(args, run, arm, rate, seed, more):
    """Runs `regrowth iterate`, or resumes it; returns its report."""
    report = os.path.join(run, "report.json")
    if not os.path.exists(report):
        kind = SETTINGS.get(arm, {"variant": arm})
        options = {
            "run": run, "policy": args.policy, "problems": args.problems, "seed": seed,
            "learning-rate": rate, "threads": args.threads, **kind, **more,
        }
        words = [word for k, v in options.items() for word in (f"--{k}", str(v))]
        subprocess.run([args.binary, "iterate", *words], check=True, stdout=subprocess.DEVNULL)
    with open(report, encoding="utf-8") as file:
        return json.load(file)


def best_validation(report):
    return max(r["validation"]["accuracy"] for r in report["rounds"] if r["round"] > 0)


def tuned_rate(args, arm):
    """The rate whose best round is best on validation problems; the smaller rate in a tie."""
    trials = {}
    more = {"rounds": args.trial_rounds, "test-problems": 1}
    for factor in TRIALS:
        rate = ARMS[arm] * factor
        run = os.path.join(args.folder, "trials", f"{arm}-{rate:g}")
        trials[rate] = best_validation(iterate(args, run, arm, rate, TRIAL_SEED, more))
        print(f"trial {arm} rate {rate:g}: validation {100 * trials[rate]:.1f} %", flush=True)
    return max(trials, key=lambda rate: (trials[rate], -rate))


def sampled(args, run, name):
    """Figures of the best checkpoint at temperature 1, in total and by level."""
    path = os.path.join(args.folder, "samples", f"{name}.json")
    if not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        best = os.path.join(run, "best")
        # If no round was better than the policy that the run started from, there is no `best` checkpoint.
        policy = best if os.path.exists(best) else args.policy
        words = ["evaluate", "--policy", policy, "--problems", args.problems, "--json",
                 "--limit", str(args.test_problems), "--samples", str(args.samples)]
        found = subprocess.run([args.binary, *words], check=True, capture_output=True, text=True).stdout
        with open(path + ".part", "w", encoding="utf-8") as file:
            file.write(found)
        os.replace(path + ".part", path)
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def equations(run):
    """Share of the equations in the best round's answers that hold; None if there are no equations."""
    with open(os.path.join(run, "report.json"), encoding="utf-8") as file:
        report = json.load(file)
    best = next(r for r in report["rounds"] if r["round"] == report["best_round"])
    # Reports of older runs call this field `eval`.
    test = best.get("test") or best["eval"]
    return test.get("equations", {}).get("accuracy")


def table(args, runs):
    """Prints a row per arm: means over seeds, in percent."""
    print(f"| arm | greedy | temperature 1 | any of {args.samples} | equations that hold | greedy by level |")
    print("|---|---|---|---|---|---|")
    mean = lambda values: f"{100 * sum(values) / len(values):.1f}" if values else "-"
    for arm, paths in runs.items():
        found = [sampled(args, run, f"{arm}-{seed}") for seed, run in enumerate(paths)]
        hold = [share for share in map(equations, paths) if share is not None]
        level = lambda name: mean([f["levels"][name]["accuracy"] for f in found])
        cells = [arm, mean([f["eval"]["accuracy"] for f in found]), mean([f["pass_at"]["1"] for f in found]),
                 mean([f["pass_at"][str(args.samples)] for f in found]), mean(hold),
                 ", ".join(f"{name}: {level(name)}" for name in found[0]["levels"])]
        print(f"| {' | '.join(cells)} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("folder")
    parser.add_argument("--problems", default="builtin:arithmetic")
    parser.add_argument("--policy", default="builtin")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--test-problems", type=int, default=2000)
    parser.add_argument("--trial-rounds", type=int, default=1)
    parser.add_argument("--samples", type=int, default=0)
    parser.add_argument("--threads", type=int, default=os.cpu_count(),
                        help="threads of each run; results do not depend on it")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    args = parser.parse_args()
    rates = {arm: tuned_rate(args, arm) for arm in args.arms}
    runs = {}
    for seed in range(args.seeds):
        for arm in args.arms:
            run = os.path.join(args.folder, "runs", f"{arm}-{seed}")
            iterate(args, run, arm, rates[arm], seed, {"test-problems": args.test_problems})
            runs.setdefault(arm, []).append(run)
            print(f"done: {arm}, seed {seed}, rate {rates[arm]:g}", flush=True)
    subprocess.run([args.binary, "compare", *(run for arm in runs.values() for run in arm)], check=True)
    if args.samples > 0:
        table(args, runs)


if __name__ == "__main__":
    main()
