"""Writes the golden file of probe fits, mcts/src/probe/fit/golden.json, computed by scikit-learn.

    pip install numpy scikit-learn
    python benches/peers/probe_golden.py > mcts/src/probe/fit/golden.json

Rows are multiples of 1/128, which bf16 represents exactly. A label that is a share y is entered as a right row
of weight y and a wrong row of weight 1 - y. Values are standardised, C = 1 / l2, and the intercept has no
penalty; the fitted weights are converted back to unstandardised values.
"""

import json

import numpy as np
from sklearn.linear_model import LogisticRegression


def golden(seed: int, rows: int, width: int, l2: float) -> dict:
    rng = np.random.default_rng(seed)
    x = np.round(rng.normal(0.3, 0.4, (rows, width)) * 64).clip(-127, 127) / 128
    x[:, 1] = 0.5  # a constant value must get no weight
    odds = 3 * x[:, 0] - 2 * x[:, 2] + 0.4
    shares = np.round(1 / (1 + np.exp(-odds + rng.normal(0, 1, rows))) * 4) / 4
    labels = shares if seed % 2 else (rng.random(rows) < shares).astype(float)
    mean, deviation = x.mean(0), x.std(0)
    scale = np.divide(1, deviation, out=np.zeros(width), where=deviation > 0)
    z = (x - mean) * scale
    fit = LogisticRegression(C=1 / l2, tol=1e-12, max_iter=100_000, solver="lbfgs")
    fit.fit(
        np.concatenate([z, z]),
        np.concatenate([np.ones(rows), np.zeros(rows)]),
        sample_weight=np.concatenate([labels, 1 - labels]),
    )
    weights = fit.coef_[0] * scale
    intercept = fit.intercept_[0] - weights @ mean
    return {
        "l2": l2,
        "rows": x.tolist(),
        "labels": labels.tolist(),
        "intercept": float(intercept),
        "weights": weights.tolist(),
    }


print(json.dumps([golden(1, 60, 5, 1.0), golden(2, 60, 5, 10.0), golden(3, 40, 50, 5.0)]))
