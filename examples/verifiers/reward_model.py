#!/usr/bin/env python3
"""Scores steps with a reward model: C = sigmoid(r(x, y<=s)), where r is the score of a sequence classification model
with one label in Hugging Face layout (`pip install torch transformers`).

    mcts search --problems gsm8k.jsonl --self-evaluation false --set search.verifier.steps=true \\
        --set search.verifier.solutions=false --set search.verifier.timeout=300 \\
        --verifier-command 'python3 examples/verifiers/reward_model.py FOLDER' --out search

Outcomes are still decided by the built-in grader. The model sees the problem and the solution up to and including
the step: as a conversation if the tokenizer has a chat template, otherwise with a line break between the two.
"""

import json
import sys

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

folder = sys.argv[1]
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1).float().eval()


def tokens(question, solution):
    if tokenizer.chat_template:
        talk = [{"role": "user", "content": question}, {"role": "assistant", "content": solution}]
        text = tokenizer.apply_chat_template(talk, tokenize=False)
        return tokenizer(text, return_tensors="pt", add_special_tokens=False)
    return tokenizer(f"{question}\n{solution}", return_tensors="pt")


@torch.no_grad()
def score(request):
    found = tokens(request["problem"]["question"], request["solution"])
    # The input is one sequence without padding, so the model reads its score at the last token.
    reward = model(input_ids=found["input_ids"], attention_mask=found["attention_mask"]).logits[0, 0]
    return torch.sigmoid(reward).item(), reward.item()


for line in sys.stdin:
    request = json.loads(line)
    probability, reward = score(request)
    reply = {"id": request["id"], "score": probability, "trace": f"reward {reward:.4f}"}
    print(json.dumps(reply), flush=True)
