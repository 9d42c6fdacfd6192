"""Computes loss and gradients of a sibling pair under GPO and of a joint pair (DOVE, arXiv:2404.00530) by PyTorch's
automatic differentiation: reference values for `trainer/src/train/preference.rs`.

Usage: python benches/peers/joint_loss.py (torch 2.15.0)

One pair of siblings and one joint pair of equal weight; beta 0.5. The pair is the first two of three siblings with
the values Q = 1.5, -0.5 and 0.2; the temperature is 0.8.
"""

import torch
import torch.nn.functional as F

BETA, TEMPERATURE = 0.5, 0.8
Q = [1.5, -0.5, 0.2]
# Log-probabilities of all tokens of both sides, and their sums under the reference.
SIBLINGS, OF_SIBLINGS = [[-0.5, -1.25], [-1.5]], (-2.0, -1.0)
JOINT, OF_JOINT = [[-0.75, -0.125, -0.5], [-0.25, -2.0]], (-1.0, -2.5)


def target(y: int) -> torch.Tensor:
    """Mean over the other siblings j of logit P(y beats j)."""
    q = torch.tensor(Q, dtype=torch.float64)
    others = torch.cat([q[:y], q[y + 1:]])
    return torch.logit(torch.sigmoid((q[y] - others) / TEMPERATURE)).mean()


def main() -> None:
    leaf = lambda values: torch.tensor(values, dtype=torch.float64, requires_grad=True)  # noqa: E731
    siblings, joint = [leaf(v) for v in SIBLINGS], [leaf(v) for v in JOINT]
    miss = [side.sum() - ref - target(y) / BETA
            for y, (side, ref) in enumerate(zip(siblings, OF_SIBLINGS, strict=True))]
    right, wrong = (side.sum() - ref for side, ref in zip(joint, OF_JOINT, strict=True))
    loss = ((miss[0]**2 + miss[1]**2) / 2 - F.logsigmoid(BETA * (right - wrong))) / 2
    loss.backward()
    print(f"loss {loss.item():.12f}")
    for name, parts in [("siblings", siblings), ("joint", joint)]:
        print(name, [[f"{g:.12f}" for g in part.grad.tolist()] for part in parts])


if __name__ == "__main__":
    main()
