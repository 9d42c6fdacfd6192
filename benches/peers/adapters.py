"""Log-probabilities that PEFT computes with adapters of every supported kind, on tiny models.

Usage, from the workspace root (the environment of parity.py, and peft==0.21.2):

    venv/bin/python benches/peers/adapters.py golden policy/tests/golden/adapters.json
    venv/bin/python benches/peers/adapters.py fields docs/checkpoints.md

`golden` writes the configurations, names and shapes of the adapters, and the log-probabilities after PEFT's own
load of the saved folder. Weights of models and adapters come from the integer hash of parity.py, so that the
test in policy/tests/it/adapters.rs can make the same ones. It also writes `adapter_model.bin` beside the file.

`fields` checks that the table in the docs has a row for every field of PEFT's `LoraConfig`.
"""

import dataclasses
import json
import pathlib
import re
import sys
import tempfile

import torch
from parity import BASE, fill, hashed, log_probs, sequence
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

LENGTHS = [3, 17, 40]
LLAMA = ("llama", {"num_key_value_heads": 2})
TIED = ("llama", {"num_key_value_heads": 2, "tie_word_embeddings": True})
QWEN = ("qwen2", {"num_key_value_heads": 2})
DEEP = ("llama", {"num_hidden_layers": 4})
QV = ["q_proj", "v_proj"]
KINDS = {
    "plain": (LLAMA, {"r": 4, "lora_alpha": 8, "target_modules": QV}),
    "no target named": (QWEN, {"r": 2}),
    "rsLoRA, patterns of ranks and alphas": (
        LLAMA,
        {"r": 4, "lora_alpha": 8, "target_modules": QV + ["down_proj"], "use_rslora": True,
         "rank_pattern": {"layers.1.*q_proj": 2, "down_proj": 6},
         "alpha_pattern": {"v_proj": 3, "down_proj": 24}},
    ),
    "DoRA": (QWEN, {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "down_proj"],
                    "use_dora": True}),
    "DoRA, embedding and head": (
        LLAMA,
        {"r": 4, "lora_alpha": 8, "target_modules": ["embed_tokens", "lm_head", "o_proj"],
         "use_dora": True},
    ),
    "embedding and head": (LLAMA, {"r": 3, "lora_alpha": 8,
                                   "target_modules": ["embed_tokens", "lm_head"]}),
    "tied: embedding": (TIED, {"r": 3, "target_modules": ["embed_tokens", "q_proj"]}),
    "tied: head": (TIED, {"r": 3, "target_modules": ["lm_head", "q_proj"]}),
    "tied: embedding, kept tied": (
        TIED, {"r": 3, "target_modules": ["embed_tokens"], "ensure_weight_tying": True}),
    "tied: head, kept tied": (
        TIED, {"r": 3, "target_modules": ["lm_head"], "ensure_weight_tying": True}),
    "modules_to_save: norms": (
        LLAMA, {"r": 2, "target_modules": QV, "modules_to_save": ["input_layernorm", "norm"]}),
    "modules_to_save: embedding and head": (
        LLAMA, {"r": 2, "target_modules": QV, "modules_to_save": ["embed_tokens", "lm_head"]}),
    "tied: modules_to_save head": (
        TIED, {"r": 2, "target_modules": QV, "modules_to_save": ["lm_head"]}),
    "tied: modules_to_save embedding": (
        TIED, {"r": 2, "target_modules": QV, "modules_to_save": ["embed_tokens"]}),
    "tied: modules_to_save embedding, kept tied": (
        TIED, {"r": 2, "target_modules": QV, "modules_to_save": ["embed_tokens"],
               "ensure_weight_tying": True}),
    "all biases": (QWEN, {"r": 2, "target_modules": QV, "bias": "all"}),
    "biases of targets": (QWEN, {"r": 2, "target_modules": QV, "bias": "lora_only"}),
    "bias of B": (QWEN, {"r": 2, "target_modules": QV, "lora_bias": True}),
    "some layers": (DEEP, {"r": 2, "target_modules": QV, "layers_to_transform": [1, 3]}),
    "one layer by pattern": (
        DEEP, {"r": 2, "target_modules": QV, "layers_to_transform": 2, "layers_pattern": "layers"}),
    "repeated layers": (
        DEEP, {"r": 2, "target_modules": QV, "layer_replication": [[0, 3], [1, 4]]}),
    "pattern of names": (
        DEEP, {"r": 2, "target_modules": r".*\.[02]\..*(q_proj|mlp\.up_proj)"}),
    "pattern with a look ahead": (
        DEEP, {"r": 2, "target_modules": r".*\.(?!0)\d\..*q_proj"}),
    "all-linear without some": (
        LLAMA, {"r": 2, "target_modules": "all-linear", "exclude_modules": ["o_proj", "up_proj"]}),
    "OLoRA": (LLAMA, {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "gate_proj", "down_proj"],
                      "init_lora_weights": "olora"}),
    "OLoRA, rsLoRA, DoRA": (
        LLAMA, {"r": 4, "lora_alpha": 6, "target_modules": QV, "init_lora_weights": "olora",
                "use_rslora": True, "use_dora": True}),
    "PiSSA": (LLAMA, {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "gate_proj", "down_proj"],
                      "init_lora_weights": "pissa"}),
    "PiSSA, DoRA": (QWEN, {"r": 3, "target_modules": QV, "init_lora_weights": "pissa",
                           "use_dora": True}),
    "gaussian": (LLAMA, {"r": 2, "target_modules": QV, "init_lora_weights": "gaussian"}),
    "orthogonal": (LLAMA, {"r": 2, "target_modules": QV, "init_lora_weights": "orthogonal"}),
    "MiCA": (LLAMA, {"r": 2, "target_modules": QV, "init_lora_weights": "mica"}),
    "trained tokens": (
        LLAMA, {"r": 2, "target_modules": QV, "trainable_token_indices": [3, 80, 7]}),
    "trained tokens of both": (
        LLAMA, {"r": 2, "target_modules": QV,
                "trainable_token_indices": {"embed_tokens": [5], "lm_head": [6, 90]}}),
    "tied: trained tokens": (
        TIED, {"r": 2, "target_modules": QV, "trainable_token_indices": [3, 80, 7]}),
    "resized: modules_to_save": (
        LLAMA, {"r": 2, "target_modules": QV, "modules_to_save": ["embed_tokens", "lm_head"]}),
    "resized: trained tokens": (
        LLAMA, {"r": 2, "target_modules": QV, "trainable_token_indices": [97, 98]}),
    "tied, resized: trained tokens": (
        TIED, {"r": 2, "target_modules": QV, "trainable_token_indices": [97, 98]}),
    "stored transposed": (LLAMA, {"r": 2, "target_modules": QV, "fan_in_fan_out": True}),
}


def model_of(kind: str, changes: dict, resized: bool) -> torch.nn.Module:
    config = AutoConfig.for_model(kind, **{**BASE, **changes})
    config._attn_implementation = "eager"
    model = AutoModelForCausalLM.from_config(config).float().eval()
    fill(model)
    if resized:
        model.resize_token_embeddings(config.vocab_size + 4)
    return model


def adapter_values(tensors: dict, fields: dict, tied: bool) -> dict:
    """Hashed values for the trained tensors; copies of base weights and tied tensors keep their values."""
    made = {}
    for key, tensor in tensors.items():
        if key.endswith(("embed_tokens.base_layer.weight", "lm_head.base_layer.weight")):
            made[key] = tensor
        else:
            # If head and embedding are tied, both use the embedding's values.
            shared = tied and ".token_adapter." in key
            made[key] = values(key.replace(".lm_head.", ".model.embed_tokens.") if shared else key, tensor.shape)
    if tied and fields.get("ensure_weight_tying"):
        prefix = "base_model.model."
        for head, embedding in [("lora_A.weight", "lora_embedding_B"),
                                ("lora_B.weight", "lora_embedding_A")]:
            if f"{prefix}lm_head.{head}" in made:
                shared = made[f"{prefix}model.embed_tokens.{embedding}"]
                made[f"{prefix}lm_head.{head}"] = shared.T.contiguous()
        if f"{prefix}lm_head.weight" in made:
            made[f"{prefix}lm_head.weight"] = made[f"{prefix}model.embed_tokens.weight"].clone()
    return made


def values(name: str, shape: torch.Size) -> torch.Tensor:
    drawn = hashed(name, shape.numel())
    near_one = "norm" in name or "magnitude" in name
    drawn = 1.0 + 0.25 * drawn if near_one else 0.375 * drawn
    return torch.tensor(drawn, dtype=torch.float32).reshape(shape)


def golden(path: pathlib.Path) -> None:
    rows = [sequence(length) for length in LENGTHS]
    found = []
    for name, (base, fields) in KINDS.items():
        torch.manual_seed(0)
        resized = "resized" in name
        adapted = get_peft_model(model_of(*base, resized), LoraConfig(task_type="CAUSAL_LM", **fields))
        with tempfile.TemporaryDirectory() as folder:
            # PEFT does the same by itself if the base on the disk has fewer tokens.
            adapted.save_pretrained(folder, save_embedding_layers=True if resized else "auto")
            file = pathlib.Path(folder) / "adapter_model.safetensors"
            tied = base[1].get("tie_word_embeddings", False)
            tensors = adapter_values(load_file(file), fields, tied)
            save_file(tensors, file, metadata={"format": "pt"})
            if name == "plain":
                small = {k: v for k, v in tensors.items() if "layers.0" in k and "q_proj" in k}
                torch.save(small, path.with_name("adapter_model.bin"))
            model = PeftModel.from_pretrained(model_of(*base, resized), folder).eval()
            config = json.loads((pathlib.Path(folder) / "adapter_config.json").read_text())
        base_config = model_of(*base, False).config
        saved = json.loads(base_config.to_json_string(use_diff=False))
        saved["architectures"] = [type(model.get_base_model()).__name__]
        found.append({
            "name": name,
            "config": saved,
            "adapter": {k: v for k, v in config.items() if v not in (None, {}, [])},
            "tensors": {key: list(t.shape) for key, t in tensors.items()},
            "lengths": LENGTHS,
            "logprobs": [[round(v, 6) for v in row] for row in log_probs(model, rows)],
        })
        print(name, len(tensors), "tensors", flush=True)
    lines = ",\n".join(json.dumps(row) for row in found)
    path.write_text("[\n" + lines + "\n]\n", encoding="utf-8")


def fields(docs: pathlib.Path) -> None:
    table = set(re.findall(r"`(\w+)`", docs.read_text(encoding="utf-8")))
    missing = [f.name for f in dataclasses.fields(LoraConfig) if f.name not in table]
    assert not missing, f"{docs} says nothing of {missing}"
    print(f"all {len(dataclasses.fields(LoraConfig))} fields of LoraConfig are in {docs}")


if __name__ == "__main__":
    {"golden": golden, "fields": fields}[sys.argv[1]](pathlib.Path(sys.argv[2]))
