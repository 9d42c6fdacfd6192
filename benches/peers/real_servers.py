"""Lists the features of real servers, and checks whether their answers equal those of the engine in this process.

Starts vLLM, llama.cpp's own server and `transformers serve` one after another on the same weights. With each server
it runs `regrowth check` (which probes the server), `regrowth evaluate` and `mcts search`. Then it prints a table:

    python benches/peers/real_servers.py --checkpoint DIR --work FOLDER --vllm VENV --llama VENV --transformers VENV

DIR is SmolLM2-135M-Instruct as a Hugging Face folder; FOLDER gets logs and results. Each VENV is a virtual
environment with that server (vllm_env.sh makes the first; xllamacpp of servers_requirements.txt is the second;
transformers_serve_requirements.txt is the third); a server without a VENV is left out. A server whose row is
already in FOLDER is not started again. REGROWTH and MCTS are the paths of the binaries.
"""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
REGROWTH = os.environ.get("REGROWTH", "regrowth")
MCTS = os.environ.get("MCTS", "mcts")
PORT = int(os.environ.get("PORT", "18341"))
ADDRESS = f"http://127.0.0.1:{PORT}/v1"
CONTEXT = 1024
EVALUATE = ["--problems", "builtin:arithmetic", "--split", "test", "--max-tokens", "48"]
SEARCH = ["--problems", "builtin:arithmetic", "--limit", "2", "--preset", "chat", "--simulations", "2"]
SEARCH += ["--breadth", "2,2", "--depth", "2"]
SEARCH += ["--set", "search.max_step_tokens=24", "--set", "search.max_solution_tokens=64"]
SERVED = ["--server-context", str(CONTEXT), "--server-timeout", "900"]


def vllm(venv, checkpoint, work):
    """Command and environment of the server, and flags of the client."""
    environment = {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_CPU_KVCACHE_SPACE": "1"}
    environment["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "True"
    command = [f"{venv}/bin/vllm", "serve", checkpoint, "--served-model-name", "smol", "--port", PORT]
    command += ["--dtype", "float32", "--max-model-len", CONTEXT, "--max-logprobs", 20, "--max-num-seqs", 16]
    command += ["--enforce-eager", "--enable-lora"]
    return command, environment, ["--policy", f"{ADDRESS}#smol"]


def llama(venv, checkpoint, work):
    gguf = work / "model.gguf"
    if not gguf.exists():
        subprocess.run([REGROWTH, "export", "--policy", checkpoint, "--gguf", gguf], check=True)
    command = [f"{venv}/bin/python", HERE / "llama_cpp_server.py", gguf, PORT]
    return command, {}, ["--policy", ADDRESS]


def transformers(venv, checkpoint, work):
    command = [f"{venv}/bin/transformers", "serve", "--port", PORT, "--device", "cpu", "--dtype", "float32"]
    client = ["--policy", f"{ADDRESS}#{checkpoint}", "--server-dialect", "openai", "--tokenizer", checkpoint]
    return command, {"HF_HUB_OFFLINE": "1"}, client


SERVERS = {"vllm": vllm, "llama": llama, "transformers": transformers}


def start(command, environment, log):
    """Starts the server and waits until it answers; on exit, its whole process group is ended."""
    with log.open("w") as output:
        server = subprocess.Popen(
            [str(part) for part in command], stdout=output, stderr=subprocess.STDOUT,
            env={**os.environ, **environment}, start_new_session=True,
        )
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{ADDRESS}/models", timeout=5).close()
            return server
        except OSError:
            if server.poll() is not None:
                sys.exit(f"{log}: the server ended:\n{log.read_text()[-2000:]}")
            time.sleep(1)
    sys.exit(f"{log}: the server does not answer")


def stop(server):
    os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def run(arguments, log):
    """Returns the standard output and seconds of a command; raises an exception if it fails."""
    before = time.monotonic()
    done = subprocess.run([str(part) for part in arguments], capture_output=True, text=True)
    log.write_text(done.stderr + done.stdout)
    if done.returncode != 0:
        raise RuntimeError(f"{log}: exit code {done.returncode}: {done.stderr[-600:]}")
    return done.stdout, time.monotonic() - before


def answers(folder):
    rows = next(folder.rglob("samples_*.jsonl")).read_text().splitlines()
    return {row["doc"]["id"]: row["resps"][0][0] for row in map(json.loads, rows)}


def evaluated(client, limit, out):
    run([REGROWTH, "evaluate", *EVALUATE, "--limit", limit, "--out", out, *client], out.with_suffix(".log"))
    return answers(out)


def measured(name, venv, checkpoint, work, limit):
    """The table row of a server."""
    command, environment, client = SERVERS[name](venv, checkpoint, work)
    weights = work / "model.gguf" if name == "llama" else checkpoint
    reference = evaluated(["--policy", weights], limit, work / f"{name}-own")
    server = start(command, environment, work / f"{name}-server.log")
    try:
        client = [*client, *SERVED]
        check = [REGROWTH, "check", "--problems", "builtin:arithmetic", "--seconds", 240, "--json", *client]
        found = json.loads(run(check, work / f"{name}-check.log")[0])
        served = evaluated(client, limit, work / f"{name}-served")
        out = work / f"{name}-search"
        _, seconds = run([MCTS, "search", *SEARCH, "--out", out, *client], work / f"{name}-search.log")
        summary = json.loads((out / "summary.json").read_text())
    finally:
        stop(server)
    return {
        "server": found["server"], "answers": len(reference), "search_seconds": round(seconds),
        "equal": sum(served[id] == text for id, text in reference.items()),
        "trees": summary.get("trees"), "pairs": summary.get("pairs"),
    }


def table(rows):
    """Prints the features and the comparison, one column per server."""
    say = {True: "yes", False: "no", None: "not given"}
    fields = [
        ("token ids in and out", lambda r: say[r["server"]["token_ids"]]),
        ("log-probabilities of samples are exact", lambda r: say[r["server"]["exact_log_probs"]]),
        ("of given text, largest difference from those",
         lambda r: say[None] if r["server"]["score_difference"] is None else f"{r['server']['score_difference']:.0e}"),
        ("tokens among which labels are looked for",
         lambda r: "all" if r["server"]["listed_tokens"] is None else str(r["server"]["listed_tokens"])),
        ("the judge's question is answered", lambda r: say[r["server"]["judges"]]),
        ("equal greedy requests, equal answers", lambda r: say[r["server"]["repeats_greedy"]]),
        ("equal seeds, equal samples", lambda r: say[r["server"]["repeats_samples"]]),
        ("continues the model's turn", lambda r: say[r["server"]["continues"]]),
        ("chat template", lambda r: r["server"]["chat_template"]),
        ("adapters while it runs", lambda r: say[r["server"]["loads_adapters"]]),
        ("greedy answers equal to the engine's", lambda r: f"{r['equal']} of {r['answers']}"),
        ("search: trees, pairs", lambda r: f"{r['trees']}, {r['pairs']}"),
    ]
    lines = ["| | " + " | ".join(rows) + " |", "|---" * (len(rows) + 1) + "|"]
    for title, of in fields:
        lines.append(f"| {title} | " + " | ".join(of(row) for row in rows.values()) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", required=True, type=lambda path: str(pathlib.Path(path).resolve()))
    parser.add_argument("--work", required=True, type=pathlib.Path)
    parser.add_argument("--limit", type=int, default=40, help="problems whose greedy answers are compared")
    for name in SERVERS:
        parser.add_argument(f"--{name}", metavar="VENV")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    rows = {}
    for name in SERVERS:
        venv, path = getattr(options, name), options.work / f"{name}.json"
        if venv and not path.exists():
            row = measured(name, venv, options.checkpoint, options.work, options.limit)
            path.write_text(json.dumps(row, indent=1) + "\n")
        if path.exists():
            rows[name] = json.loads(path.read_text())
    print(table(rows))


main()
