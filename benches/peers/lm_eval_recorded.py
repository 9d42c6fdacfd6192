"""Compares GSM8K in lm-eval and in `regrowth evaluate --protocol lm-eval`, with recorded solutions as the answers.

    pip install -r benches/peers/lm_eval_requirements.txt
    cargo build --release -p regrowth-trainer
    python benches/peers/lm_eval_recorded.py --tokenizer HF_FOLDER --data DATA --work FOLDER [--limit 300]

Both programs request answers to gsm8k and gsm8k_cot and get the same recorded solution of each item: lm-eval
from an object, regrowth from a server with llama.cpp's API, which looks the solution up by the token ids of
lm-eval's prompt. So prompts are compared token by token and verdicts on equal texts, without a model. Prints
the differences and how many verdicts were right. Exits with status 1 if anything differs.
"""

import argparse
import json
import os
import pathlib
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from lm_eval.api.model import LM
from lm_eval_items import by_lm_eval, by_regrowth, rows, served, texts

MODELS = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
# Maximum number of tokens of an answer, as in lm-eval.
MAX_TOKENS = 256
ENDINGS = {"gsm8k": "#### {}", "gsm8k_cot": "The answer is {}."}


def solution(task, row, at):
    """A recorded solution of an item; three of four end in the form that the task's strict filter needs."""
    text = row[MODELS[at % 4]]["solution"]
    head, mark, answer = text.rpartition("A: ")
    return head + ENDINGS[task].format(answer.strip()) if mark and at // 4 % 4 else text


class Recorded(LM):
    """Returns recorded answers in the order of the items, and stores the prompts."""

    def __init__(self, answers):
        super().__init__()
        self.answers, self.prompts = answers, {}

    def generate_until(self, requests):
        for request in requests:
            self.prompts[request.args[0]] = self.cut(self.answers[request.doc_id], request.args[1]["until"])
        return [self.prompts[request.args[0]] for request in requests]

    @staticmethod
    def cut(text, until):
        for stop in until:
            text = text.split(stop)[0]
        return text

    def loglikelihood(self, requests):
        raise NotImplementedError

    loglikelihood_rolling = loglikelihood


def serve(tokenizer, prompts):
    """A server of the recorded answers; a prompt that lm-eval did not send gets an empty answer and is counted."""
    known = {tuple(tokenizer(prompt)["input_ids"]): text for prompt, text in prompts.items()}
    assert len(known) == len(prompts)
    unknown = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, value):
            body = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            models = {"data": [{"id": "recorded", "owned_by": "llamacpp"}]}
            self.answer(models if self.path == "/v1/models" else {"default_generation_settings": {"n_ctx": 8192}})

        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            prompt = tuple(asked["prompt"])
            if prompt not in known:
                unknown.append(prompt)
            ids = tokenizer(known.get(prompt, ""))["input_ids"]
            listed = [{"id": token, "logprob": -1.0} for token in ids]
            self.answer({"tokens": ids, "stop_type": "eos", "completion_probabilities": listed})

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, unknown


def compare(task, args, tokenizer):
    recorded = rows(args.data / "model_outputs/gsm8k_example_model_solutions_first300.jsonl")[: args.limit]
    items, train = served(args.data, args.work, task, args.limit)
    answers = [tokenizer(solution(task, row, at))["input_ids"][:MAX_TOKENS] for at, row in enumerate(recorded)]
    model = Recorded(tokenizer.batch_decode(answers, clean_up_tokenization_spaces=False))
    theirs = by_lm_eval(model, task, items, train, args.work)
    server, unknown = serve(tokenizer, model.prompts)
    address = f"http://127.0.0.1:{server.server_port}/v1"
    ours = by_regrowth(args.regrowth, address, task, items, train, args.work, ["--tokenizer", args.tokenizer])
    server.shutdown()
    right = {name: int(sum(row["exact_match"] for row in theirs if row["filter"] == name)) for name in sorted({r["filter"] for r in theirs})}
    print(f"{task}: {len(unknown)} prompts differ in a token; right in lm-eval: {right}")
    same = {(row["doc_id"], row["resps"][0][0]) for row in theirs} == {(row["doc_id"], row["resps"][0][0]) for row in ours}
    return texts(task, theirs, ours) and same and not unknown


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--regrowth", default=os.environ.get("REGROWTH_BIN", "target/release/regrowth"))
    parser.add_argument("--limit", type=int, default=300)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(args.tokenizer)
    good = [compare(task, args, tokenizer) for task in ENDINGS]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
