"""Measures how well judges rank the solutions of one problem: judges_within.py TREES.jsonl

The AUC of a summary compares solutions of all problems, so a judge that only distinguishes easy problems from
hard ones has a high AUC. This script compares right with wrong solutions of the same tree: the share of such
pairs that the judge ranks correctly (ties count one half), every tree with the same weight, with a 95 % bootstrap
interval over trees. Judges: the recorded self-evaluation, the summed log-probability of the solution, the
log-probability of its answer over all solutions that state it, and the number of solutions that state it.
Answers are read from \\boxed{}.
"""

import collections
import json
import math
import random
import re
import sys


def solutions(tree):
    """Outcome, self-evaluation, log-probability and answer of each finished solution."""
    nodes = tree["nodes"]
    for index, node in enumerate(nodes):
        if index == 0 or not node.get("terminal"):
            continue
        path, at = [], index
        while at:
            path.append(nodes[at])
            at = nodes[at]["parent"]
        text = "".join(step["text"] for step in reversed(path))
        answers = re.findall(r"boxed\{([^{}]*)\}", text)
        yield {
            "right": node["outcome"] > 0,
            "self-evaluation": node.get("self_evaluation"),
            "likelihood": sum(sum(step["logps"]) for step in path),
            "answer": answers[-1].replace(",", "").strip(" $") if answers else None,
        }


def rated(found):
    """The solutions with the ratings of all judges."""
    by_answer = collections.defaultdict(list)
    for solution in found:
        by_answer[solution["answer"]].append(solution["likelihood"])
    for solution in found:
        same = by_answer[solution["answer"]] if solution["answer"] is not None else []
        most = max(same, default=-math.inf)
        solution["answers"] = most + math.log(sum(math.exp(x - most) for x in same)) if same else -math.inf
        solution["votes"] = len(same)
    return found


def ordered(found, judge):
    """Share of (right, wrong) pairs of a tree that the judge ranks correctly."""
    sides = [[s[judge] for s in found if s["right"] == right] for right in (True, False)]
    if any(value is None for side in sides for value in side):
        return None
    wins = [1.0 if r > w else 0.5 if r == w else 0.0 for r in sides[0] for w in sides[1]]
    return sum(wins) / len(wins)


def main():
    with open(sys.argv[1], encoding="utf-8") as lines:
        trees = [list(solutions(json.loads(line))) for line in lines]
    mixed = [rated(found) for found in trees if len({s["right"] for s in found}) == 2]
    print(f"{len(mixed)} of {len(trees)} trees have right and wrong solutions")
    for judge in ["self-evaluation", "likelihood", "answers", "votes"]:
        shares = [share for share in (ordered(found, judge) for found in mixed) if share is not None]
        draws = random.Random(0)
        means = sorted(sum(draws.choices(shares, k=len(shares))) / len(shares) for _ in range(10_000))
        mean = sum(shares) / len(shares)
        print(f"{judge:16} {mean:.3f} [{means[250]:.3f}, {means[9750]:.3f}] ({len(shares)} trees)")


main()
