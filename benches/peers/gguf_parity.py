"""Compares a GGUF file in our reader and in transformers': token ids and log-probabilities.

    pip install -r benches/peers/gguf_requirements.txt
    cargo build --release -p regrowth-trainer && cargo build --release -p regrowth-policy --example tokens
    python benches/peers/gguf_parity.py MODEL.gguf HF_DIR DATA_DIR

HF_DIR is the model as transformers dequantises it (`from_pretrained(..., gguf_file=...)`, saved).
DATA_DIR contains problem files as JSON lines; the strings in them are the texts. Prints the number of texts
whose ids differ, with the first of them, and the largest difference of a log-probability. Exits with status 1
if a log-probability differs by more than 1e-3 or any ids differ.

transformers 5.24 does not support `tokenizer.ggml.pre = smollm` and splits text as GPT-2 does; the published
tokenizer first splits off every digit, as llama.cpp and we do. With `--published` the reference uses that
pre-tokenizer, and for Qwen's tokenizer the NFC normalisation, which transformers' conversion also drops.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

import torch
from tokenizers import normalizers, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer

TOLERANCE = 1e-3
HARD = [
    "  12 apples\n\n3. then\t\t4", "na\u00efve caf\u00e9 \u2014 \u201cquoted\u201d", "e\u0301 decomposed \u1ebf", "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 family",
    "def f(x):\n    return x**2  # \u00b2\n\n\n\tpass", "\u4f60\u597d\uff0c\u4e16\u754c\u3002 1\uff12\uff13", "\u0645\u0631\u062d\u0628\u0627 \u0661\u0662\u0663", "a\r\nb\rc\n\r\nd", "   ", "\n\n\n", "",
    "I'll we've DON'T can't it's", "$x^{2}+\\frac{1}{2}=10{,}000$", "<|im_start|>user\nhi<|im_end|>\n", "</s><s>[INST]", "<tool_call>\n{\"a\": 1}\n</tool_call>",
    "\u00bd cup \u2167 chapters x\u2082", "https://example.org/a?b=1&c=%20d", "A" * 300, " " * 40 + "x", "\u200b\ufeffzero width", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", "\ud55c\uad6d\uc5b4 123\ubc88",
]


def texts(folder, count):
    found = []

    def walk(value):
        if isinstance(value, str) and len(value) > 15:
            found.append(value)
        elif isinstance(value, dict):
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    for path in sorted(pathlib.Path(folder).rglob("*.jsonl")):
        for line in path.read_text().splitlines():
            walk(json.loads(line))
    random.Random(1).shuffle(found)
    return found[:count]


def reference(folder, published):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if published:
        backend = tokenizer.backend_tokenizer
        if tokenizer.vocab_size < 100_000:
            digits = pre_tokenizers.Digits(individual_digits=True)
            backend.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
        else:
            backend.normalizer = normalizers.NFC()
    return tokenizer


def compare_ids(args, tokenizer, folder):
    plain = texts(args.data, args.texts)
    chats = [tokenizer.apply_chat_template([{"role": "user", "content": t}], tokenize=False, add_generation_prompt=True)
             for t in plain[: args.texts // 10]]
    everything = HARD + plain[: args.texts - len(chats)] + chats
    path = pathlib.Path(folder) / "texts.jsonl"
    path.write_text("".join(json.dumps(text) + "\n" for text in everything))
    ours = subprocess.run([args.tokens, args.gguf, path], check=True, capture_output=True, text=True).stdout
    ours = [json.loads(line) for line in ours.splitlines()]
    theirs = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in everything]
    differ = [i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b]
    print(f"{len(everything)} texts, {sum(map(len, theirs))} ids: {len(differ)} texts differ")
    for i in differ[:8]:
        at = next(j for j, (a, b) in enumerate(zip(ours[i] + [None], theirs[i] + [None])) if a != b)
        show = lambda ids: tokenizer.convert_ids_to_tokens(ids[max(0, at - 1): at + 3])
        print("  ", repr(everything[i][:50]), "ours", show(ours[i]), "theirs", show(theirs[i]))
    return len(differ)


def compare_logps(args, tokenizer, folder):
    model = AutoModelForCausalLM.from_pretrained(args.hf, dtype=torch.float32).eval()
    rows = texts(args.data, 5000)[-args.prompts:]
    path = pathlib.Path(folder) / "rows.jsonl"
    path.write_text("".join(json.dumps({"prompt": "Question: ", "completion": text}) + "\n" for text in rows))
    ours = subprocess.run([args.regrowth, "score", "--policy", args.gguf, "--input", path], check=True, capture_output=True, text=True).stdout
    worst = total = 0
    for line in ours.splitlines():
        row = json.loads(line)
        prompt = tokenizer("Question: ", add_special_tokens=False)["input_ids"]
        ids = prompt + row["tokens"]
        with torch.no_grad():
            logps = torch.log_softmax(model(torch.tensor([ids])).logits[0], -1)
        for i, (token, ours) in enumerate(zip(row["tokens"], row["logprobs"], strict=True)):
            worst = max(worst, abs(float(logps[len(prompt) + i - 1, token]) - ours))
            total += 1
    print(f"{len(rows)} texts, {total} log-probabilities: largest difference {worst:.2e}")
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf")
    parser.add_argument("hf")
    parser.add_argument("data")
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--prompts", type=int, default=12)
    parser.add_argument("--published", action="store_true")
    parser.add_argument("--regrowth", default="target/release/regrowth")
    parser.add_argument("--tokens", default="target/release/examples/tokens")
    args = parser.parse_args()
    tokenizer = reference(args.hf, args.published)
    with tempfile.TemporaryDirectory() as folder:
        differ = compare_ids(args, tokenizer, folder)
        worst = compare_logps(args, tokenizer, folder) if args.prompts else 0
    sys.exit(1 if differ or worst > TOLERANCE else 0)


main()
