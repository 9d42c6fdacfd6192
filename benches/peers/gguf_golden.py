"""Writes a tiny GGUF file with every supported tensor type, and the values that transformers reads from it.

    pip install -r benches/peers/gguf_requirements.txt
    python benches/peers/gguf_golden.py policy/tests/golden

Writes `types.gguf` (a Llama model of two layers whose weights are random blocks) and `types.json`: for each
tensor, by its Hugging Face name, the sum and some values after dequantisation; and the log-probabilities of
a sequence. Both come from transformers' own loading of the file, so names, types and the order of
q and k rows are checked by code that is not ours.
"""

import json
import pathlib
import sys

import gguf
import numpy as np
import torch
from transformers import AutoModelForCausalLM

T = gguf.GGMLQuantizationType
VOCAB, HIDDEN, INNER, LAYERS, HEADS, HEAD = 32, 256, 32, 2, 2, 8
# K-quant blocks have 256 values, all others 32.
WIDE = [T.Q4_K, T.Q5_K, T.Q6_K, T.Q2_K, T.Q3_K, T.Q8_0, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.F16, T.BF16]
NARROW = [T.Q8_0, T.Q4_0]
# Byte offsets of the f16 scale and, if there is one, the f16 minimum in a K-quant block.
SCALES = {T.Q2_K: [80, 82], T.Q3_K: [108], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208]}


def blocks(rng, rows, columns, kind):
    """Random values of about 0.05 in this tensor type, as bytes."""
    if kind not in SCALES:
        return gguf.quants.quantize(rng.normal(0, 0.05, (rows, columns)).astype(np.float32), kind)
    _, size = gguf.GGML_QUANT_SIZES[kind]
    data = rng.integers(0, 256, (rows * columns // 256, size), dtype=np.uint8)
    scale = {T.Q2_K: 2e-3, T.Q3_K: 5e-4, T.Q4_K: 1e-4, T.Q5_K: 5e-5, T.Q6_K: 2e-5}[kind]
    for at in SCALES[kind]:
        data[:, at:at + 2] = np.frombuffer(np.float16(scale).tobytes(), dtype=np.uint8)
    return data.reshape(rows, -1)


def shapes():
    q, kv = HEADS * HEAD, HEADS * HEAD // 2
    yield "token_embd", VOCAB, HIDDEN
    for layer in range(LAYERS):
        for name, rows, columns in [("attn_q", q, HIDDEN), ("attn_k", kv, HIDDEN),
                                    ("attn_v", kv, HIDDEN), ("attn_output", HIDDEN, q),
                                    ("ffn_gate", INNER, HIDDEN), ("ffn_up", INNER, HIDDEN),
                                    ("ffn_down", HIDDEN, INNER)]:
            yield f"blk.{layer}.{name}", rows, columns
    yield "output", VOCAB, HIDDEN


def write(path):
    rng = np.random.default_rng(5)
    out = gguf.GGUFWriter(path, "llama")
    out.add_name("types")
    out.add_vocab_size(VOCAB)
    out.add_context_length(64)
    out.add_embedding_length(HIDDEN)
    out.add_feed_forward_length(INNER)
    out.add_block_count(LAYERS)
    out.add_head_count(HEADS)
    out.add_head_count_kv(HEADS // 2)
    out.add_key_length(HEAD)
    out.add_value_length(HEAD)
    out.add_rope_dimension_count(HEAD)
    out.add_rope_freq_base(10000.0)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("smollm")
    tokens = ["<end>", *"0123456789+-=.\u0120\u010aabcdefghijklmn", "ab"]
    out.add_token_list(tokens[:VOCAB])
    out.add_token_types([gguf.TokenType.CONTROL] + [gguf.TokenType.NORMAL] * (VOCAB - 1))
    out.add_token_merges(["a b"])
    out.add_eos_token_id(0)
    wide, narrow = iter(WIDE), iter(NARROW)
    for name, rows, columns in shapes():
        kinds = {HIDDEN: wide, INNER: narrow}.get(columns, iter([T.F16]))
        kind = next(kinds)
        out.add_tensor(f"{name}.weight", blocks(rng, rows, columns, kind), raw_dtype=kind)
    norms = ["output_norm", *(f"blk.{i}.{n}" for i in range(LAYERS) for n in ("attn_norm", "ffn_norm"))]
    for name in norms:
        out.add_tensor(f"{name}.weight", rng.normal(1, 0.1, HIDDEN).astype(np.float32))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def main():
    folder = pathlib.Path(sys.argv[1])
    write(folder / "types.gguf")
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file="types.gguf", dtype=torch.float32)
    model.eval()
    ids = [(7 * i + 3) % VOCAB for i in range(24)]
    with torch.no_grad():
        logps = torch.log_softmax(model(torch.tensor([ids])).logits[0].double(), -1)
    tensors = {}
    for name, tensor in model.state_dict().items():
        values = tensor.double().flatten()
        tensors[name] = {"sum": float(values.sum()), "values": [float(v) for v in values[:: max(1, len(values) // 6)]]}
    golden = {"ids": ids, "logps": [float(logps[i, ids[i + 1]]) for i in range(len(ids) - 1)],
              "tensors": tensors}
    (folder / "types.json").write_text(json.dumps(golden, indent=1) + "\n")


main()
