"""Compares the tree workload with transformers' `generate` and llama.cpp's servers, all in f32.

Usage, from the workspace root (environments as for engines.py; models by engines_model.py;
llama-server by llama_server.sh):

    cargo build --release -p regrowth-mcts
    llama/bin/python benches/peers/tree_workload.py WORK MCTS torch/bin/python LLAMA_SERVER \
        small|large [RUNS]
    llama/bin/python benches/peers/tree_workload.py WORK report

A search of eight problems (5 then 3 candidates, depth 4, 32 simulations per root, every step judged)
is timed. Then the requests of its trees are sent to the other engines, tree by tree in the same order: for
each expansion, the same number of candidates with the same numbers of tokens, and a judgement of each.
transformers gets an expansion as one call of `generate` with several sequences, and its judgements as one batched
forward pass. The servers get one completion per candidate and one per judgement. llama-server (C++) runs with one
slot, where every request finds the prefix of the one before; with five slots, where the candidates of an
expansion, and then their judgements, are requested at once; and with forty slots, where all trees also run at
once. The server of llama-cpp-python keeps only the prefix that a request shares with the previous one (its
cache of complete states, `--cache true`, was 1.3 times slower). Loading is not timed for any engine. Runs are
interleaved; every time is a line of WORK/tree.jsonl. A number of threads that is slow in its first run is not
tried again.
"""

import json
import pathlib
import statistics
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

PORT = 18099
SETTINGS = """policy = "{policy}"
problems = "builtin:arithmetic"
limit = 8
[search]
simulations = 32
breadth = [5, 3]
max_depth = 4
boundary = "newline"
max_step_tokens = 32
max_solution_tokens = 128
"""
FORM = {"version": 1, "chat": False, "prompt": "{{ question }}\n",
        "judge": "{% if correct_first %}A right B wrong:{% else %}A wrong B right:{% endif %}"}
QUESTION = "A right B wrong:"


def words() -> list[str]:
    from engines_model import words
    return words()


def expansions(trees: pathlib.Path) -> list[list[tuple[list[int], list[list[int]]]]]:
    """For each tree, the prefix ids and the candidates' ids of every expansion, in order."""
    found = []
    for line in trees.read_text().splitlines():
        tree = json.loads(line)
        paths, children = [tree["prompt_ids"]], {}
        for i, node in enumerate(tree["nodes"][1:], 1):
            paths.append(paths[node["parent"]] + node["ids"])
            children.setdefault(node["parent"], []).append(node["ids"])
        found.append([(paths[parent], steps) for parent, steps in children.items()])
    return found


def ours(work: pathlib.Path, mcts: str, name: str, threads: int) -> float:
    model, out = work / name, work / f"tree-{name}"
    (model / "regrowth.json").write_text(json.dumps(FORM))
    settings = work / "tree.toml"
    settings.write_text(SETTINGS.format(policy=model))
    subprocess.run([mcts, "search", "--config", settings, "--threads", str(threads), "--no-log",
                    "--out", out], check=True, capture_output=True)
    return json.loads((out / "summary.json").read_text())["seconds"]


def torch_worker(model: str, trees: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    model.generation_config.pad_token_id = 0
    asked = sum(expansions(pathlib.Path(trees)), [])
    question = [ord(c) for c in QUESTION]  # any ids: only their number matters
    for line in sys.stdin:
        torch.set_num_threads(int(line))
        start = time.perf_counter()
        with torch.inference_mode():
            for prefix, steps in asked:
                tokens = max(map(len, steps))
                ids = torch.tensor([prefix])
                model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=True, top_k=0,
                               num_return_sequences=len(steps), max_new_tokens=tokens,
                               min_new_tokens=tokens)
                length = len(prefix) + tokens + len(question)
                rows = [prefix + step + question for step in steps]
                ids = torch.tensor([row + [0] * (length - len(row)) for row in rows])
                mask = torch.tensor([[1] * len(r) + [0] * (length - len(r)) for r in rows])
                model(ids, attention_mask=mask, use_cache=False).logits[:, -1].softmax(-1)
        print(time.perf_counter() - start, flush=True)


# The sampled tokens do not matter, so both servers use the same plain sampling.
PLAIN = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repeat_penalty": 1.0}


def post(path: str, body: dict) -> dict:
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as reply:
        return json.load(reply)


def complete_text(ids: list[int], tokens: int, seed: int) -> None:
    """Sends a completion request to llama-cpp-python, which takes text."""
    spelled = words()
    prompt = "".join(spelled[i] for i in ids)
    assert post("/v1/completions", {"prompt": prompt, "max_tokens": tokens, "seed": seed, **PLAIN})["choices"]


def complete_ids(ids: list[int], tokens: int, seed: int) -> None:
    """Sends a completion request to llama-server, which takes ids."""
    body = {"prompt": ids, "n_predict": tokens, "seed": seed, "ignore_eos": True,
            "cache_prompt": True, "samplers": ["temperature"], **PLAIN}
    assert post("/completion", body)["tokens_predicted"] == tokens


def served(command: list, complete, at_once: tuple[int, int], trees: pathlib.Path) -> float:
    """Seconds of the workload on a server; `complete` sends one request, `at_once` is the number of trees and the
    total number of requests that run at once."""
    server = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    question = [ord(c) for c in QUESTION]  # any ids: only their number matters
    try:
        for _ in range(300):
            try:
                complete([1, 2, 3], 8, 0)
                break
            except OSError:
                time.sleep(0.2)
        start = time.perf_counter()
        with ThreadPoolExecutor(at_once[0]) as searches, ThreadPoolExecutor(at_once[1]) as pool:
            def search(tree) -> None:
                for prefix, steps in tree:
                    for asked in (
                        [(prefix, len(step), seed) for seed, step in enumerate(steps)],
                        [(prefix + step + question, 1, 0) for step in steps],
                    ):
                        list(pool.map(lambda ask: complete(*ask), asked))

            list(searches.map(search, expansions(trees)))
        return time.perf_counter() - start
    finally:
        server.terminate()
        server.wait()


def python_server(gguf: pathlib.Path, threads: int) -> list:
    return [sys.executable, "-m", "llama_cpp.server", "--model", gguf, "--n_ctx", "1024",
            "--n_threads", threads, "--n_threads_batch", threads, "--type_k", "0", "--type_v", "0",
            "--port", PORT]


def own_server(binary: str, gguf: pathlib.Path, threads: int, slots: int) -> list:
    return [binary, "--model", gguf, "--ctx-size", 1024 * slots, "--parallel", slots, "--threads",
            threads, "--threads-batch", threads, "--cache-type-k", "f32", "--cache-type-v", "f32",
            "--port", PORT]


def report(log: pathlib.Path) -> None:
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    for name in sorted({r["model"] for r in rows}):
        best = {}
        for engine in dict.fromkeys(r["engine"] for r in rows):
            by_threads = {t: [r["seconds"] for r in rows if (r["model"], r["engine"], r["threads"])
                              == (name, engine, t)] for t in (1, 2)}
            runs = [r for r in by_threads.values() if r]
            if runs:
                best[engine] = min(runs, key=statistics.median)
        base = statistics.median(best["regrowth"])
        for engine, runs in best.items():
            middle = statistics.median(runs)
            print(f"{name}: {engine} {middle:.2f} s [{min(runs):.2f}, {max(runs):.2f}] in {len(runs)} runs, "
                  f"{middle / base:.2f} of regrowth's time")


def main() -> None:
    if sys.argv[1] == "torch":
        torch_worker(*sys.argv[2:])
        return
    work = pathlib.Path(sys.argv[1])
    log = work / "tree.jsonl"
    if sys.argv[2] == "report":
        report(log)
        return
    mcts, torch, binary, name = sys.argv[2:6]
    ours(work, mcts, name, 2)
    trees, gguf = work / f"tree-{name}" / "trees.jsonl", work / f"{name}.gguf"
    worker = subprocess.Popen([torch, __file__, "torch", work / name, trees], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL)

    def generate(threads: int) -> float:
        print(threads, file=worker.stdin, flush=True)
        return float(worker.stdout.readline())

    engines = {
        "regrowth": lambda t: ours(work, mcts, name, t),
        "transformers": generate,
        **{f"llama-server, {slots} slots": lambda t, slots=slots, at_once=at_once: served(
            own_server(binary, gguf, t, slots), complete_ids, at_once, trees)
            for slots, at_once in ((1, (1, 1)), (5, (1, 5)), (40, (8, 40)))},
        "llama-cpp-python's server": lambda t: served(python_server(gguf, t), complete_text, (1, 1),
                                                      trees),
    }
    known = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    for _ in range(int(sys.argv[6]) if len(sys.argv) > 6 else 1):
        for engine, run in engines.items():
            first = {r["threads"]: r["seconds"] for r in reversed(known)
                     if (r["model"], r["engine"]) == (name, engine)}
            for threads in (2, 1):
                if first.get(threads, 0) > 1.15 * min(first.values(), default=0):
                    continue
                row = {"model": name, "engine": engine, "threads": threads, "seconds": run(threads)}
                known.append(row)
                with log.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(row, flush=True)


if __name__ == "__main__":
    main()
