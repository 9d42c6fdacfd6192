"""Computes values and gradients of preference losses: with TRL's own code if TRL has the loss, otherwise with the
formula in PyTorch and automatic differentiation.

Usage, from the workspace root:

    python3 -m venv venv && venv/bin/pip install torch==2.15.0 transformers==5.23.0 trl==1.16.0
    venv/bin/python benches/peers/trl_losses.py trainer/tests/golden/losses.json

TRL's loss runs on a stand-in for the model that returns given log-probabilities; no code of TRL is
copied here. All numbers are in double precision.
"""

import json
import random
import sys
from collections import defaultdict
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from trl import DPOTrainer

TRL = ["sigmoid", "ipo", "hinge", "robust", "sigmoid_norm"]
FIELDS = ["chosen", "rejected", "reference_chosen", "reference_rejected", "len_chosen",
          "len_rejected", "alpha", "margin"]


def by_trl(name: str, beta: float, flip: float, pair: dict, chosen, rejected):
    """The loss of one pair through DPOTrainer._compute_loss."""
    lengths = [int(pair["len_chosen"]), int(pair["len_rejected"])]
    longest = max(lengths)
    mask = torch.tensor([[0] + [1] * n + [0] * (longest - n) for n in lengths])
    # Each side's summed log-probability is placed at its first completion token.
    rows = [torch.cat([s.reshape(1), torch.zeros(longest - 1, dtype=torch.float64)])
            for s in (chosen, rejected)]
    outputs = SimpleNamespace(
        log_probs=torch.stack(rows),
        logits=None,
        log_sum_sq_probs=None,
        entropy=torch.zeros(2, longest, dtype=torch.float64),
    )
    trainer = DPOTrainer.__new__(DPOTrainer)
    same = lambda x: x  # noqa: E731
    trainer.__dict__.update(
        model=SimpleNamespace(training=False),
        accelerator=SimpleNamespace(device="cpu", gather=same, gather_for_metrics=same),
        args=SimpleNamespace(gradient_checkpointing_kwargs=None),
        aux_loss_enabled=False, ld_alpha=None, precompute_ref_logps=True, use_weighting=False,
        f_divergence_type="reverse_kl", loss_types=[name], loss_weights=[1.0], beta=beta,
        label_smoothing=flip, _metrics={"eval": defaultdict(list)}, _total_train_tokens=0,
    )
    inputs = {
        "input_ids": torch.ones(2, longest + 1, dtype=torch.long),
        "attention_mask": torch.ones(2, longest + 1, dtype=torch.long),
        "completion_mask": mask,
        "ref_chosen_logps": torch.tensor([pair["reference_chosen"]], dtype=torch.float64),
        "ref_rejected_logps": torch.tensor([pair["reference_rejected"]], dtype=torch.float64),
    }
    # After the loss, _compute_loss only reports metrics; Stop ends it there, and the loss is read from its frame.
    trainer._metrics["eval"] = Stop()
    try:
        return trainer._compute_loss(lambda **_: outputs, inputs, False)
    except Stop.Done:
        return sys.exc_info()[2].tb_next.tb_frame.f_locals["loss"]


class Stop:
    """Metrics that stop the function at their first use."""

    class Done(Exception):
        pass

    def __getitem__(self, _):
        raise Stop.Done

    def __setitem__(self, *_):
        raise Stop.Done


def sibling_fields(draw: random.Random, temperature: float) -> tuple[dict, dict]:
    """Draws Q of two to six siblings, of which the first two are the pair. Returns the advantages of both sides, and
    GPO's target s of both: the mean over the other siblings j of logit P(y beats j), with
    P = sigmoid((Q_y - Q_j) / temperature)."""
    q = [draw.uniform(-2, 2) for _ in range(draw.randint(2, 6))]
    fields, targets = {}, {}
    for y, side in enumerate(("chosen", "rejected")):
        others = torch.tensor(q[:y] + q[y + 1:], dtype=torch.float64)
        fields[f"advantage_{side}"] = q[y] - others.mean().item()
        beats = torch.sigmoid((q[y] - others) / temperature)
        targets[side] = torch.logit(beats).mean().item()
    return fields, targets


def by_formula(name: str, settings: dict, beta: float, p: dict, chosen, rejected):
    a_c, a_r = chosen - p["reference_chosen"], rejected - p["reference_rejected"]
    x = beta * (a_c - a_r)
    if name in ("conservative", "soft"):
        alpha = p["alpha"]
        if name == "soft":
            gap = torch.tensor(p["margin"] / settings["temperature"], dtype=torch.float64)
            alpha = 1 - torch.sigmoid(gap)
        return -(1 - alpha) * F.logsigmoid(x) - alpha * F.logsigmoid(-x)
    if name == "ipo_sum":
        return (a_c - a_r - 1 / (2 * beta)) ** 2
    if name == "simpo":
        gap = chosen / p["len_chosen"] - rejected / p["len_rejected"]
        return -F.logsigmoid(beta * gap - settings["gamma"])
    if name == "margin":
        return -F.logsigmoid(x - settings["kappa"] * p["margin"])
    if name == "degree":
        miss = x - settings["kappa"] * p["margin"]
        return -F.logsigmoid(x) + settings["lambda"] * miss**2
    if name == "gpo":
        miss_c, miss_r = a_c - p["s"]["chosen"] / beta, a_r - p["s"]["rejected"] / beta
        return (miss_c**2 + miss_r**2) / 2
    raise ValueError(name)


def main() -> None:
    draw = random.Random(7)
    specs = [(name, {"flip": 0.2} if name == "robust" else {}) for name in TRL]
    specs += [("conservative", {}), ("soft", {"temperature": 0.7}), ("ipo_sum", {}),
              ("simpo", {"gamma": 0.5}), ("margin", {"kappa": 0.3}),
              ("degree", {"kappa": 0.3, "lambda": 0.1}), ("gpo", {"temperature": 0.7})]
    rows = []
    for name, settings in specs:
        for nll in (0.0, 0.5):
            for _ in range(6):
                values = [-draw.uniform(0, 40) for _ in range(4)]
                values += [float(draw.randint(1, 30)), float(draw.randint(1, 30)),
                           draw.uniform(0, 0.5), draw.uniform(0.01, 2)]
                pair = dict(zip(FIELDS, values, strict=True))
                targets = {}
                if name == "gpo":
                    fields, targets = sibling_fields(draw, settings["temperature"])
                    pair.update(fields)
                beta = draw.choice([0.05, 0.1, 0.5, 2.0])
                chosen, rejected = (
                    torch.tensor(pair[side], dtype=torch.float64, requires_grad=True)
                    for side in ("chosen", "rejected")
                )
                if name in TRL:
                    loss = by_trl(name, beta, settings.get("flip", 0.0), pair, chosen, rejected)
                else:
                    loss = by_formula(name, settings, beta, {**pair, "s": targets}, chosen, rejected)
                loss = loss - nll * chosen / pair["len_chosen"]
                loss.backward()
                rows.append({"loss": {"name": name, **settings}, "beta": beta, "nll": nll,
                             "pair": pair, "value": loss.item(),
                             "by_chosen": chosen.grad.item(), "by_rejected": rejected.grad.item()})
    with open(sys.argv[1], "w", encoding="utf-8") as out:
        out.write("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


if __name__ == "__main__":
    main()
