#!/usr/bin/env python3
"""Draws the results of other scripts, with 95 % intervals.

    python3 benches/scripts/picture.py rounds FOLDER OUT.svg TITLE [ARM=LABEL ...]
    python3 benches/scripts/picture.py tokens FOLDER OUT.svg TITLE [FAMILY=LABEL ...]

`rounds`: test accuracy by round for the arms in a folder of baselines.py, with Student's intervals over seeds.
`tokens`: accuracy by computed tokens per problem for the strategies in a folder of strategies.py, with intervals
over problems. Strategies that differ only in their K form a family (`mcts:t=0.7` for `mcts@4:t=0.7` and
`mcts@16:t=0.7`), and each family is one line. Lines are drawn in the given order; without arguments, all are drawn.
"""

import collections
import glob
import json
import math
import os
import pathlib
import sys

import strategies

WIDTH, HEIGHT, LEFT, TOP, PLOT_WIDTH, PLOT_HEIGHT = 760, 400, 50, 40, 430, 310
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999", "#7b3294")
# Student's t at 97.5 % by degrees of freedom.
STUDENT = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}


def over_seeds(values):
    """Mean, and half the width of its interval; the half width is 0 for one seed."""
    n = len(values)
    mean = sum(values) / n
    if n == 1:
        return mean, 0.0
    spread = math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1))
    return mean, STUDENT[n - 1] * spread / math.sqrt(n)


def over_problems(right):
    """Share in percent, and half the width of Wilson's interval; for hundreds of problems or more."""
    n, share = len(right), sum(right) / len(right)
    return 100 * share, 196 * math.sqrt(share * (1 - share) / n + 0.96 / n**2)


def rounds(folder):
    """Points (round, (mean, half)) of every arm."""
    runs = collections.defaultdict(list)
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), "runs", "*-[0-9]*", "report.json"))):
        arm = os.path.basename(os.path.dirname(path)).rsplit("-", 1)[0]
        with open(path, encoding="utf-8") as file:
            runs[arm].append([100 * (r.get("test") or r["eval"])["accuracy"] for r in json.load(file)["rounds"]])
    return {arm: [(r, over_seeds(seeds)) for r, seeds in enumerate(zip(*found, strict=True))]
            for arm, found in runs.items()}


def tokens(folder):
    """Points (tokens, (share, half)) of every family of strategies, by tokens."""
    families = collections.defaultdict(list)
    for path in pathlib.Path(folder).glob("*/answer.json"):
        strategy, *words = path.parent.name.split("_")
        found, right = strategies.read(path.parent)
        family = "_".join([strategy.split("@")[0], *words])
        families[family].append((found, over_problems(right)))
    return {family: sorted(points) for family, points in families.items()}


def line(points, colour, text, row):
    """Draws one line through the means, bars for their intervals, and its row of the legend."""
    path = " ".join(f"{x:.1f},{y(mean):.1f}" for x, (mean, _) in points)
    yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
    for x, (mean, half) in points:
        low, high = y(max(mean - half, 0)), y(min(mean + half, 100))
        yield f'<circle cx="{x:.1f}" cy="{y(mean):.1f}" r="3" fill="{colour}"/>'
        yield f'<line x1="{x:.1f}" y1="{low:.1f}" x2="{x:.1f}" y2="{high:.1f}" stroke="{colour}"/>'
    at, level = LEFT + PLOT_WIDTH + 25, TOP + 12 + 22 * row
    yield f'<line x1="{at}" y1="{level}" x2="{at + 22}" y2="{level}" stroke="{colour}" stroke-width="3"/>'
    yield f'<text x="{at + 30}" y="{level + 4}">{text}</text>'


def y(accuracy):
    return TOP + PLOT_HEIGHT * (1 - accuracy / 100)


def drawn(title, under, ticks, place, lines):
    """The picture; `place` maps a number on the x axis to a position from 0 to 1."""
    at = lambda x: LEFT + 20 + (PLOT_WIDTH - 40) * place(x)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
             f'font-size="13"><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
             f'<text x="{LEFT}" y="22" font-size="15">{title}</text>']
    for tick in range(0, 101, 20):
        parts.append(f'<line x1="{LEFT}" y1="{y(tick)}" x2="{LEFT + PLOT_WIDTH}" y2="{y(tick)}" stroke="#ddd"/>'
                     f'<text x="{LEFT - 8}" y="{y(tick) + 4}" text-anchor="end">{tick}</text>')
    for tick in ticks:
        parts.append(f'<text x="{at(tick)}" y="{TOP + PLOT_HEIGHT + 20}" text-anchor="middle">{tick}</text>')
    parts.append(f'<text x="{LEFT + PLOT_WIDTH / 2}" y="{HEIGHT - 12}" text-anchor="middle">{under}</text>')
    for row, (label, points) in enumerate(lines.items()):
        shift = 3 * (row - len(lines) / 2)  # draws the bars side by side
        points = [(at(x) + shift, found) for x, found in points]
        parts.extend(line(points, COLOURS[row % len(COLOURS)], label, row))
    return "\n".join(parts) + "\n</svg>\n"


def main():
    kind, folder, out, title, *named = sys.argv[1:]
    found = {"rounds": rounds, "tokens": tokens}[kind](folder)
    # Names of families contain `=`, names of arms do not.
    parted = [name.split("=", 1) if kind == "rounds" else name.rsplit("=", 1) for name in named]
    labels = dict(parted) or {name: name for name in sorted(found)}
    unknown = [name for name in labels if strategies.folder_of(name) not in found]
    if unknown or not labels:
        sys.exit(f"{folder}: nothing of {', '.join(unknown) or kind}; there is {', '.join(sorted(found)) or 'nothing'}")
    lines = {label: found[strategies.folder_of(name)] for name, label in labels.items()}
    last = max(x for points in lines.values() for x, _ in points)
    if kind == "rounds":
        text = drawn(title, "round", range(last + 1), lambda r: r / max(last, 1), lines)
    else:
        first = min(x for points in lines.values() for x, _ in points)
        place = lambda x: math.log(x / first) / (math.log(last / first) or 1)
        ticks = [t for t in (25, 50, 100, 200, 400, 800, 1600, 3200) if first <= t <= last]
        text = drawn(title, "computed tokens per problem", ticks, place, lines)
    with open(out, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main()
