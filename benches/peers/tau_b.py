"""Kendall's tau-b by scipy on small samples with ties: reference values for the tests of mcts/src/audit/tau.rs.

Usage, from the workspace root:

    python3 -m venv venv && venv/bin/pip install scipy==1.17.1
    venv/bin/python benches/peers/tau_b.py
"""

from scipy.stats import kendalltau

SAMPLES = [
    ([1, 2, 3, 4, 5, 6], [2, 1, 4, 3, 6, 5]),
    ([1, 1, 2, 2, 3, 3, 4], [5, 5, 1, 2, 2, 3, 9]),
    ([0, 0, 0, 1, 1, 1, 0, 1], [0.5, -2, 3.25, -2, 0.5, -7, 3.25, -2]),
]

for x, y in SAMPLES:
    print(x, y, repr(float(kendalltau(x, y, variant="b").statistic)))
