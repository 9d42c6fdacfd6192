"""Compares decoding speed with llama.cpp and transformers.

All engines get the same random model in f32. llama.cpp keeps keys and values in f16, its faster default; a second
setting keeps them in f32.

Usage, from the workspace root (two environments of engines_requirements.txt):

    llama/bin/python benches/peers/engines_model.py WORK
    cargo build --release -p regrowth-benches --example engine_speed
    python3 benches/peers/engines.py WORK llama/bin/python torch/bin/python [small|large[:BATCH] ...]

Each run decodes a batch of sequences after prompts of 16 tokens. There are five rounds; in each, every engine
runs with one thread and with two. The setting with the better median counts; a setting that is a quarter
slower in the first round is not run again. For llama.cpp only `llama_decode` is timed, not its
sampling; for transformers, `generate`.
"""

import os
import pathlib
import statistics
import subprocess
import sys
import time

PROMPT, REPEATS, THREADS = 16, 5, (1, 2)
TOKENS = {"small": {1: 64, 8: 64, 64: 64}, "large": {1: 32, 8: 32, 64: 16}}
OURS = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target"), "release/examples/engine_speed")


def llama_worker(path: str, all_f32: bool) -> None:
    import ctypes

    import llama_cpp as ll

    silent = ll.llama_log_callback(lambda level, text, data: None)
    ll.llama_log_set(silent, ctypes.c_void_p(0))
    ll.llama_backend_init()
    defaults = ll.llama_model_default_params()
    if path.endswith(".q8.gguf"):
        defaults.use_extra_bufts = False  # llama.cpp's AMX path crashes on this machine
    model = ll.llama_model_load_from_file(path.encode(), defaults)
    for line in sys.stdin:
        size, tokens, threads = map(int, line.split())
        params = ll.llama_context_default_params()
        params.n_ctx, params.n_seq_max = size * (PROMPT + tokens + 16), size
        params.n_batch, params.n_ubatch = 2048, 512
        # Keys and values stay in f16 unless requested otherwise: that is llama.cpp's default, and faster.
        if all_f32:  # by measurement, f32 is fastest without flash attention and with one cache per sequence
            params.type_k = params.type_v = 0  # GGML_TYPE_F32
            params.flash_attn_type = 0  # LLAMA_FLASH_ATTN_TYPE_DISABLED
        params.n_threads = params.n_threads_batch = threads
        context = ll.llama_init_from_model(model, params)
        batch = ll.llama_batch_init(2048, 0, 1)

        def decode(rows):
            batch.n_tokens = len(rows)
            for i, (token, position, sequence, wanted) in enumerate(rows):
                batch.token[i], batch.pos[i], batch.logits[i] = token, position, wanted
                batch.n_seq_id[i], batch.seq_id[i][0] = 1, sequence
            start = time.perf_counter()
            assert ll.llama_decode(context, batch) == 0
            ll.llama_get_logits(context)
            return time.perf_counter() - start

        seconds = 0.0
        for _ in range(2):  # the first round warms up
            ll.llama_memory_clear(ll.llama_get_memory(context), True)
            seconds = decode([(300 + 31 * s + 7 * p, p, s, p == PROMPT - 1)
                              for s in range(size) for p in range(PROMPT)])
            for t in range(tokens - 1):
                seconds += decode([(300 + 17 * s + t, PROMPT + t, s, 1) for s in range(size)])
        print(size * tokens / seconds, flush=True)
        ll.llama_batch_free(batch)
        ll.llama_free(context)


def torch_worker(path: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    model.generation_config.pad_token_id = 0
    for line in sys.stdin:
        size, tokens, threads = map(int, line.split())
        torch.set_num_threads(threads)
        for _ in range(2):
            ids = torch.randint(300, 3900, (size, PROMPT))
            start = time.perf_counter()
            with torch.inference_mode():
                out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=True, top_k=0,
                                     max_new_tokens=tokens, min_new_tokens=tokens)
            seconds = time.perf_counter() - start
        assert out.shape[1] == PROMPT + tokens
        print(size * tokens / seconds, flush=True)


def quantised(path: pathlib.Path, python: str) -> pathlib.Path:
    out = path.with_suffix(".q8.gguf")
    code = ("import sys, llama_cpp as ll; p = ll.llama_model_quantize_default_params(); "
            "p.ftype = ll.LLAMA_FTYPE_MOSTLY_Q8_0; "
            "assert ll.llama_model_quantize(sys.argv[1].encode(), sys.argv[2].encode(), p) == 0")
    if not out.exists():
        subprocess.run([python, "-c", code, path, out], check=True, capture_output=True)
    return out


class Worker:
    """A process that measures on request."""

    def __init__(self, python: str, kind: str, path: pathlib.Path):
        self.process = subprocess.Popen([python, "benches/peers/engines.py", kind, path], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL)

    def __call__(self, size: int, tokens: int, threads: int) -> float:
        print(size, tokens, threads, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())


def main() -> None:
    workers = {"llama": lambda path: llama_worker(path, False),
               "llama-f32": lambda path: llama_worker(path, True), "torch": torch_worker}
    if sys.argv[1] in workers:
        workers[sys.argv[1]](sys.argv[2])
        return
    work, llama, torch = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    for wanted in sys.argv[4:] or TOKENS:
        name, _, size = wanted.partition(":")
        ours = lambda size, tokens, threads: float(subprocess.run(
            [OURS, work / name, str(size), str(tokens), str(threads)], check=True,
            capture_output=True, text=True).stdout)
        engines = {"regrowth": ours,
                   "llama.cpp": Worker(llama, "llama", work / f"{name}.gguf"),
                   "llama.cpp, f32 keys and values": Worker(llama, "llama-f32", work / f"{name}.gguf"),
                   "transformers": Worker(torch, "torch", work / name),
                   "llama.cpp Q8_0": Worker(llama, "llama", quantised(work / f"{name}.gguf", llama))}
        for size in [int(size)] if size else TOKENS[name]:
            runs = {(e, t): [] for e in engines for t in THREADS}
            for _ in range(REPEATS):
                for (engine, threads), found in runs.items():
                    first = max(runs[engine, t][0] for t in THREADS if runs[engine, t]) if found else 0
                    if not found or found[0] > 0.75 * first:
                        found.append(engines[engine](size, TOKENS[name][size], threads))
            best = {e: max((runs[e, t] for t in THREADS), key=statistics.median) for e in engines}
            shown = ", ".join(f"{e} {statistics.median(r):.0f} [{min(r):.0f}, {max(r):.0f}] in {len(r)}"
                              for e, r in best.items())
            rival = max(statistics.median(best[e]) for e in ("llama.cpp", "transformers"))
            ratio = statistics.median(best["regrowth"]) / rival
            print(f"{name}, batch {size}: {shown} tokens/s; {ratio:.2f} of the better peer",
                  flush=True)


if __name__ == "__main__":
    main()
