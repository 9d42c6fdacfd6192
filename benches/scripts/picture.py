#!/usr/bin/env python3
"""A picture of what baselines.py found: test accuracy by round, one line an arm, intervals over seeds.

    python3 benches/scripts/picture.py FOLDER OUT.svg TITLE [ARM=LABEL ...]

Arms are drawn in the order given, all that have runs if none is. Intervals are Student's at 95 %.
"""

import glob
import json
import math
import os
import sys

WIDTH, HEIGHT, LEFT, TOP, PLOT_WIDTH, PLOT_HEIGHT = 760, 400, 50, 40, 430, 310
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999", "#7b3294")
# Student's t at 97.5 % by degrees of freedom.
STUDENT = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}


def accuracies(folder, arm):
    """Test accuracy in percent by round, one list a seed."""
    runs = []
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), "runs", f"{arm}-[0-9]*", "report.json"))):
        with open(path, encoding="utf-8") as file:
            rounds = json.load(file)["rounds"]
        runs.append([100 * r["eval"]["accuracy"] for r in rounds])
    return runs


def interval(values):
    """Mean and half the width of its interval; 0 for one seed."""
    n = len(values)
    mean = sum(values) / n
    if n == 1:
        return mean, 0.0
    spread = math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1))
    return mean, STUDENT[n - 1] * spread / math.sqrt(n)


def line(points, colour, text, row):
    """One arm: a line through its means, bars for their intervals, and its row of the legend."""
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


def main():
    folder, out, title, *named = sys.argv[1:]
    arms = dict(name.split("=", 1) for name in named)
    found = {os.path.basename(p).rsplit("-", 1)[0] for p in glob.glob(os.path.join(glob.escape(folder), "runs", "*"))}
    arms = arms or {arm: arm for arm in sorted(found)}
    runs = {label: accuracies(folder, arm) for arm, label in arms.items()}
    runs = {label: found for label, found in runs.items() if found}
    last = max(len(run) for found in runs.values() for run in found) - 1
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
             f'font-size="13"><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
             f'<text x="{LEFT}" y="22" font-size="15">{title}</text>']
    for tick in range(0, 101, 20):
        parts.append(f'<line x1="{LEFT}" y1="{y(tick)}" x2="{LEFT + PLOT_WIDTH}" y2="{y(tick)}" stroke="#ddd"/>'
                     f'<text x="{LEFT - 8}" y="{y(tick) + 4}" text-anchor="end">{tick}</text>')
    at = lambda r: LEFT + 20 + (PLOT_WIDTH - 40) * r / last
    for r in range(last + 1):
        parts.append(f'<text x="{at(r)}" y="{TOP + PLOT_HEIGHT + 20}" text-anchor="middle">{r}</text>')
    parts.append(f'<text x="{LEFT + PLOT_WIDTH / 2}" y="{HEIGHT - 12}" text-anchor="middle">round</text>')
    for row, (label, seeds) in enumerate(runs.items()):
        shift = 3 * (row - len(runs) / 2)  # so that bars stand side by side
        points = [(at(r) + shift, interval([run[r] for run in seeds])) for r in range(last + 1)]
        parts.extend(line(points, COLOURS[row % len(COLOURS)], label, row))
    with open(out, "w", encoding="utf-8") as file:
        file.write("\n".join(parts) + "\n</svg>\n")


if __name__ == "__main__":
    main()
