"""Computes the rationale term (arXiv:2407.14477) by PyTorch's automatic differentiation: reference values for
`trainer/src/train/preference.rs`.

Usage: python benches/peers/rationale_loss.py (torch 2.15.0)

Two pairs of equal weight, the first with a rationale: sigmoid DPO with beta 0.5, mean over pairs, plus
0.4 times the mean over pairs of the rationale's mean negative log-likelihood per token (0 without a rationale).
"""

import torch
import torch.nn.functional as F

BETA, WEIGHT = 0.5, 0.4
# Log-probabilities of the chosen and rejected tokens of both pairs and of the rationale; sums under the
# reference policy.
CHOSEN = [[-0.5, -1.25], [-0.75]]
REJECTED = [[-1.5], [-0.25, -2.0]]
RATIONALE = [-0.5, -1.0, -2.25]
REFERENCE = [(-2.0, -1.0), (-1.0, -2.5)]


def main() -> None:
    leaf = lambda values: torch.tensor(values, dtype=torch.float64, requires_grad=True)  # noqa: E731
    chosen, rejected = [leaf(v) for v in CHOSEN], [leaf(v) for v in REJECTED]
    rationale = leaf(RATIONALE)
    loss = torch.zeros((), dtype=torch.float64)
    for c, r, (ref_c, ref_r) in zip(chosen, rejected, REFERENCE, strict=True):
        loss = loss - F.logsigmoid(BETA * ((c.sum() - ref_c) - (r.sum() - ref_r))) / 2
    loss = loss + WEIGHT * F.nll_loss(
        rationale.unsqueeze(1), torch.zeros(len(RATIONALE), dtype=torch.long)) / 2
    loss.backward()
    print(f"loss {loss.item():.12f}")
    for name, parts in [("chosen", chosen), ("rejected", rejected), ("rationale", [rationale])]:
        print(name, [[f"{g:.12f}" for g in part.grad.tolist()] for part in parts])


if __name__ == "__main__":
    main()
