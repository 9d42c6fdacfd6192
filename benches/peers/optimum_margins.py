"""The margin at which each preference loss is smallest, found by minimising the formula numerically: reference
values for the tests of trainer/src/train/optimum.rs.

Usage, from the workspace root:

    python3 -m venv venv && venv/bin/pip install scipy==1.17.1
    venv/bin/python benches/peers/optimum_margins.py trainer/tests/golden/optimum_margins.json

A label is right with probability p = 1 - alpha. The expression p L(D, m) + (1 - p) L(-D, -m) is minimised over
D, where m is the value gap in the labelled order.
"""

import json
import sys

import numpy as np
from scipy.optimize import brentq


def slope_sigmoid(x):
    """Derivative of -log sigmoid(x)."""
    return -1 / (1 + np.exp(x))


def slope(name, settings, beta, alpha, d, m):
    """Derivative of a label's loss with respect to D; D and the value gap m are in the labelled order."""
    x = beta * d
    if name in ("sigmoid", "conservative"):
        return beta * slope_sigmoid(x)
    if name == "robust":
        e = settings["flip"]
        return beta * ((1 - e) * slope_sigmoid(x) + e * slope_sigmoid(-x)) / (1 - 2 * e)
    if name == "ipo_sum":
        return 2 * (d - 1 / (2 * beta))
    if name == "margin":
        return beta * slope_sigmoid(x - settings["kappa"] * m)
    if name == "degree":
        return beta * (slope_sigmoid(x) + 2 * settings["lambda"] * (x - settings["kappa"] * m))
    raise ValueError(name)


def optimum(name, settings, beta, alpha, m):
    if name == "soft":  # The loss itself smooths labels: p follows from the value gap.
        p = 1 / (1 + np.exp(-m / settings["temperature"]))
        name = "sigmoid"
    elif name == "gpo":  # A pair of three siblings: Q = m and Q = 0; the third is between them.
        siblings, sides = [m, 0.0, m / 3], []
        for y in (0, 1):
            beats = [1 / (1 + np.exp(-(siblings[y] - q) / settings["temperature"]))
                     for j, q in enumerate(siblings) if j != y]
            s = np.mean([np.log(p / (1 - p)) for p in beats])
            # The loss is quadratic, so f(a + 1) - f(a - 1) is zero exactly where its derivative at a is zero.
            sides.append(brentq(lambda a: (a + 1 - s / beta) ** 2 - (a - 1 - s / beta) ** 2, -1e4, 1e4,
                                xtol=1e-13, rtol=1e-14))
        return sides[0] - sides[1]
    else:
        p = 1 - alpha

    def expected(d):
        return p * slope(name, settings, beta, alpha, d, m) - (1 - p) * slope(name, settings, beta, alpha, -d, -m)

    return brentq(expected, -1e4, 1e4, xtol=1e-13, rtol=1e-14)


def main():
    specs = [("sigmoid", {}), ("conservative", {}), ("soft", {"temperature": 0.7}), ("robust", {"flip": 0.05}),
             ("ipo_sum", {}), ("margin", {"kappa": 0.3}), ("degree", {"kappa": 0.3, "lambda": 0.1}),
             ("degree", {"kappa": 2.0, "lambda": 3.0}), ("gpo", {"temperature": 0.7})]
    rows = []
    with np.errstate(over="ignore"):
        for name, settings in specs:
            for beta, alpha, m in [(0.1, 0.2, 0.8), (0.5, 0.07, 1.9), (2.0, 0.45, 0.1)]:
                rows.append({"loss": {"name": name, **settings}, "beta": beta, "alpha": alpha, "margin": m,
                             "optimum": optimum(name, settings, beta, alpha, m)})
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        out.write("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


if __name__ == "__main__":
    main()
