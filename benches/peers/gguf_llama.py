"""Checks the output of `regrowth export --gguf` with llama.cpp: token ids and log-probabilities of both.

Usage, with the program built and a checkpoint folder or an adapter:

    python3 -m venv venv && venv/bin/pip install -r benches/peers/gguf_llama_requirements.txt
    venv/bin/python benches/peers/gguf_llama.py REGROWTH CHECKPOINT WORK

llama.cpp's own server (the wheel xllamacpp) serves the file. Texts are scored by that server, and by the engine
of this project from the checkpoint and from the file. For f16, log-probabilities must be within 0.01
of the checkpoint's on average (llama.cpp rounds activations and its cache to f16 as well). For Q8_0, where
llama.cpp rounds activations to 8 bits, the figures are only printed.
"""

import json
import pathlib
import signal
import subprocess
import sys
import time
import urllib.request

PORT = 18341
TEXTS = [
    ("Question: Ann has 12 apples and buys 7 more. How many has she now?\n", "12 + 7 = 19\nThe answer is 19."),
    ("def fib(n):\n", "    return n if n < 2 else fib(n - 1) + fib(n - 2)\n"),
    ("The capital of France is", " Paris, which lies on the Seine; Zürich and Kraków lie elsewhere."),
    ("<|im_start|>user\nWhat is 3.5 times 2?<|im_end|>\n<|im_start|>assistant\n", "It's 7.0!"),
]


def serve(model):
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path, params.port, params.hostnames = model, PORT, ["127.0.0.1"]
    # One thread, because several threads wait for each other on a busy machine.
    params.n_ctx, params.n_parallel, params.cpuparams.n_threads = 1024, 1, 1
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    signal.sigwait([signal.SIGTERM, signal.SIGINT])


def wait_until_up(server):
    for _ in range(600):
        assert server.poll() is None, "the server ended"
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=2).read()
        except OSError:
            time.sleep(0.5)
    raise TimeoutError("the server does not answer")


def scores(regrowth, policy, rows):
    command = [regrowth, "score", "--policy", policy, "--input", rows]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    return [json.loads(line) for line in lines]


def apart(a, b):
    assert [row["tokens"] for row in a] == [row["tokens"] for row in b], "other token ids"
    pairs = [pair for x, y in zip(a, b) for pair in zip(x["logprobs"], y["logprobs"])]
    differences = [abs(x - y) for x, y in pairs]
    return max(differences), sum(differences) / len(differences)


def main():
    regrowth, checkpoint, work = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    work.mkdir(parents=True, exist_ok=True)
    rows = work / "rows.jsonl"
    rows.write_text("".join(json.dumps({"prompt": p, "completion": c}) + "\n" for p, c in TEXTS))
    own, good = scores(regrowth, checkpoint, rows), True
    for kind in ["f16", "q8_0"]:
        file = work / f"{kind}.gguf"
        subprocess.run([regrowth, "export", "--policy", checkpoint, "--gguf", file, "--type", kind], check=True)
        read = scores(regrowth, str(file), rows)
        server = subprocess.Popen([sys.executable, __file__, "--serve", str(file)])
        try:
            wait_until_up(server)
            served = scores(regrowth, f"http://127.0.0.1:{PORT}/v1", rows)
        finally:
            server.terminate()
            server.wait()
        for name, other in [("checkpoint", own), ("file", read)]:
            most, mean = apart(served, other)
            print(f"{kind}: llama.cpp beside the {name} here: {most:.5f} at most, {mean:.5f} on average")
        good &= kind != "f16" or apart(served, own)[1] <= 0.01
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        serve(sys.argv[2])
    else:
        main()
