"""Random-weight Llama checkpoints for the comparison of engines: Hugging Face layout and GGUF.

Usage: venv/bin/python benches/peers/engines_model.py WORK     (needs numpy, safetensors, gguf)

The vocabulary has one token per character (ASCII and at most 4,096 others), so that text and token ids
are the same in every engine. The GGUF file contains the same values, but the rows of q and k in the order
that llama.cpp's RoPE needs.
"""

import json
import pathlib
import sys

import numpy as np

VOCABULARY, CONTEXT = 4096, 2048
SHAPES = {"small": (256, 704, 6, 4), "large": (768, 2048, 12, 12)}  # D, F, L, H


def words() -> list[str]:
    ascii_words = ["\n"] + [chr(c) for c in range(32, 127)]
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    return special + ascii_words + [chr(0x4E00 + i) for i in range(VOCABULARY - 259 - 96)]


def tensors(shape: tuple) -> dict[str, np.ndarray]:
    width, inner, layers, _ = shape
    draw = np.random.default_rng(0)
    matrix = lambda rows, cols: draw.normal(0, cols**-0.5, (rows, cols)).astype(np.float32)
    found = {"model.embed_tokens.weight": matrix(VOCABULARY, width),
             "lm_head.weight": matrix(VOCABULARY, width),
             "model.norm.weight": np.ones(width, np.float32)}
    for i in range(layers):
        at = f"model.layers.{i}."
        for name in "qkvo":
            found[f"{at}self_attn.{name}_proj.weight"] = matrix(width, width)
        for name, rows, cols in (("gate", inner, width), ("up", inner, width), ("down", width, inner)):
            found[f"{at}mlp.{name}_proj.weight"] = matrix(rows, cols)
        for name in ("input_layernorm", "post_attention_layernorm"):
            found[f"{at}{name}.weight"] = np.ones(width, np.float32)
    # Special and byte tokens always have logit 0.
    found["lm_head.weight"][:259] = 0
    return found


def hugging_face(folder: pathlib.Path, shape: tuple, values: dict) -> None:
    from safetensors.numpy import save_file

    width, inner, layers, heads = shape
    folder.mkdir(parents=True, exist_ok=True)
    save_file(values, folder / "model.safetensors", metadata={"format": "pt"})
    config = dict(architectures=["LlamaForCausalLM"], model_type="llama", vocab_size=VOCABULARY,
                  hidden_size=width, intermediate_size=inner, num_hidden_layers=layers,
                  num_attention_heads=heads, num_key_value_heads=heads, head_dim=width // heads,
                  max_position_embeddings=CONTEXT, rms_norm_eps=1e-5, rope_theta=10000.0,
                  tie_word_embeddings=False, hidden_act="silu", eos_token_id=2, bos_token_id=1,
                  attention_bias=False, mlp_bias=False, dtype="float32", torch_dtype="float32")
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": 2}))
    model = dict(type="BPE", dropout=None, unk_token="<unk>", continuing_subword_prefix=None,
                 end_of_word_suffix=None, fuse_unk=False, byte_fallback=False,
                 vocab={w: i for i, w in enumerate(words())}, merges=[])
    special = [dict(id=i, content=w, single_word=False, lstrip=False, rstrip=False,
                    normalized=False, special=True) for i, w in enumerate(words()[:3])]
    tokenizer = dict(version="1.0", truncation=None, padding=None, added_tokens=special,
                     normalizer=None, pre_tokenizer=None, post_processor=None,
                     decoder={"type": "Fuse"}, model=model)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    names = dict(tokenizer_class="PreTrainedTokenizerFast", eos_token="</s>", unk_token="<unk>")
    (folder / "tokenizer_config.json").write_text(json.dumps(names))


def for_rope(x: np.ndarray, heads: int) -> np.ndarray:
    """Reorders the rows of q or k from half-split to interleaved pairs."""
    return x.reshape(heads, 2, -1, x.shape[1]).swapaxes(1, 2).reshape(x.shape)


def gguf_file(path: pathlib.Path, shape: tuple, values: dict) -> None:
    import gguf

    width, inner, layers, heads = shape
    out = gguf.GGUFWriter(path, "llama")
    out.add_context_length(CONTEXT)
    out.add_embedding_length(width)
    out.add_block_count(layers)
    out.add_feed_forward_length(inner)
    out.add_head_count(heads)
    out.add_head_count_kv(heads)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_rope_dimension_count(width // heads)
    out.add_rope_freq_base(10000.0)
    out.add_vocab_size(VOCABULARY)
    out.add_file_type(gguf.LlamaFileType.ALL_F32)
    out.add_tokenizer_model("llama")
    out.add_token_list([w.replace(" ", "\u2581") for w in words()])
    out.add_token_scores([0.0] * VOCABULARY)
    kinds = gguf.TokenType
    out.add_token_types([kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL] + [kinds.BYTE] * 256
                        + [kinds.NORMAL] * (VOCABULARY - 259))
    out.add_bos_token_id(1)
    out.add_eos_token_id(2)
    out.add_unk_token_id(0)
    out.add_add_bos_token(False)
    out.add_add_space_prefix(False)
    names = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
             "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
             "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
             "post_attention_layernorm": "ffn_norm"}
    out.add_tensor("token_embd.weight", values["model.embed_tokens.weight"])
    out.add_tensor("output.weight", values["lm_head.weight"])
    out.add_tensor("output_norm.weight", values["model.norm.weight"])
    for i in range(layers):
        for theirs, ours in names.items():
            x = values[f"model.layers.{i}.{theirs}.weight"]
            x = for_rope(x, heads) if ours in ("attn_q", "attn_k") else x
            out.add_tensor(f"blk.{i}.{ours}.weight", np.ascontiguousarray(x))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def main() -> None:
    work = pathlib.Path(sys.argv[1])
    for name, shape in SHAPES.items():
        values = tensors(shape)
        hugging_face(work / name, shape, values)
        gguf_file(work / f"{name}.gguf", shape, values)
        print(name, sum(x.size for x in values.values()), "parameters")


if __name__ == "__main__":
    main()
