"""Writes a Llama checkpoint with a byte-level BPE tokenizer as an f32 GGUF file for llama.cpp.

    pip install -r benches/peers/servers_requirements.txt
    python benches/peers/gguf_export.py policy/bundled tiny.gguf

Used to compare llama.cpp with our own engine on small checkpoints: same weights, nothing quantised. In RoPE,
llama.cpp rotates neighbouring pairs and Hugging Face rotates halves, so the rows of q and k are reordered.
`--bos ID` makes the model begin every text with that token; `--random SEED` draws random weights instead.
"""

import argparse
import json
import pathlib

import gguf
import numpy
from safetensors.numpy import load_file

LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
TOP = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def name_of(tensor):
    """Returns llama.cpp's name of a tensor, given its name in Hugging Face's layout."""
    stem, suffix = tensor.rsplit(".", 1)
    if stem in TOP:
        return f"{TOP[stem]}.{suffix}"
    _, _, layer, part = stem.split(".", 3)
    return f"blk.{layer}.{LAYER[part]}.{suffix}"


def interleaved(weight, heads):
    """Reorders the rows of each head from halves to neighbouring pairs."""
    rows, columns = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, columns)
    return numpy.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows, columns))


def merges_of(model):
    """Returns the merges. For a vocabulary without merges, makes a chain of merges for each word, because llama.cpp
    finds words by merges only. Words that begin with a space come first; otherwise the rest of the word would be
    merged before the space."""
    if model["merges"]:
        return [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    words = sorted(model["vocab"], key=lambda word: (not word.startswith("\u0120"), word))
    chains = (f"{word[:i]} {word[i]}" for word in words for i in range(1, len(word)))
    return list(dict.fromkeys(chains))


def write_tokenizer(out, folder, vocabulary, bos, eos):
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    special = {t["id"]: t["content"] for t in tokenizer["added_tokens"] if t["special"]}
    words = {i: w for w, i in tokenizer["model"]["vocab"].items()} | special
    tokens = [words.get(i, f"<|unused {i}|>") for i in range(vocabulary)]
    kinds = [
        gguf.TokenType.CONTROL if i in special
        else gguf.TokenType.NORMAL if i in words
        else gguf.TokenType.UNUSED
        for i in range(vocabulary)
    ]
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("gpt-2")
    out.add_token_list(tokens)
    out.add_token_types(kinds)
    out.add_token_merges(merges_of(tokenizer["model"]))
    out.add_eos_token_id(eos)
    out.add_add_bos_token(bos is not None)
    if bos is not None:
        out.add_bos_token_id(bos)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=pathlib.Path)
    parser.add_argument("out")
    parser.add_argument("--bos", type=int)
    parser.add_argument("--random", type=int)
    args = parser.parse_args()
    config = json.loads((args.checkpoint / "config.json").read_text())
    heads = config["num_attention_heads"]
    kv_heads = config.get("num_key_value_heads", heads)
    out = gguf.GGUFWriter(args.out, "llama")
    out.add_context_length(config["max_position_embeddings"])
    out.add_embedding_length(config["hidden_size"])
    out.add_block_count(config["num_hidden_layers"])
    out.add_feed_forward_length(config["intermediate_size"])
    out.add_head_count(heads)
    out.add_head_count_kv(kv_heads)
    out.add_rope_dimension_count(config.get("head_dim", config["hidden_size"] // heads))
    out.add_rope_freq_base(config.get("rope_theta", 10000.0))
    out.add_layer_norm_rms_eps(config["rms_norm_eps"])
    out.add_vocab_size(config["vocab_size"])
    write_tokenizer(out, args.checkpoint, config["vocab_size"], args.bos, config["eos_token_id"])
    draw = None if args.random is None else numpy.random.default_rng(args.random)
    for name, weight in sorted(load_file(args.checkpoint / "model.safetensors").items()):
        weight = weight.astype(numpy.float32)
        if draw is not None and weight.ndim == 2:
            weight = draw.normal(0.0, 0.02, weight.shape).astype(numpy.float32)
        if ".q_proj." in name:
            weight = interleaved(weight, heads)
        if ".k_proj." in name:
            weight = interleaved(weight, kv_heads)
        out.add_tensor(name_of(name), weight)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


if __name__ == "__main__":
    main()
