"""One round of preference training with TRL, as the trainer command of `regrowth iterate`.

    python3 -m venv venv && venv/bin/pip install -r benches/peers/trl_requirements.txt
    regrowth iterate --run RUN --trainer-command \
        "venv/bin/accelerate launch --cpu --num_processes 1 benches/peers/trl_trainer.py"

It reads the pairs and the policy from the paths in the REGROWTH_ variables and writes a checkpoint, or with
`--lora RANK` a PEFT adapter, to REGROWTH_OUT. TRL gets the token ids of the pairs and not their text, because its
own text preparation would append EOS to both sides of every pair, which would train the policy to end solutions
after steps that do not end them. Before training, one pass over the collated batches checks that exactly the
tokens of the two steps are scored, and that EOS is among them only if a step really ended. TRL's
sigmoid loss has no label smoothing, so `alpha` is not used.

`--device cuda` trains in bf16 on the GPUs that accelerate provides, also with DeepSpeed ZeRO-3
(examples/cluster/trl_zero3.sh).
"""

import argparse
import json
import os

from datasets import Dataset
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer


class StepTrainer(DPOTrainer):
    """TRL's trainer on pairs that are already token ids."""

    def _prepare_dataset(self, dataset, *args, **kwargs):
        return dataset


def read_pairs(path):
    """The columns that TRL's collator needs, and whether each side ended its solution."""
    with open(path, encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    names = ["prompt_ids", "chosen_ids", "rejected_ids", "terminal_chosen", "terminal_rejected"]
    return Dataset.from_list([{name: row[name] for name in names} for row in rows])


def check_masks(trainer, pairs, eos):
    """Refuses a batch that scores other tokens than the two steps, or an EOS that was not sampled."""
    seen, ends = 0, 0
    for pair in pairs:
        batch = trainer.data_collator([pair])
        for row, side in enumerate(["chosen", "rejected"]):
            scored = batch["input_ids"][row][batch["completion_mask"][row] == 1].tolist()
            assert scored == pair[f"{side}_ids"], f"{side}: other tokens than the step's"
            has_eos = eos in scored
            assert not has_eos or (scored[-1] == eos and pair[f"terminal_{side}"]), "a false EOS"
            seen, ends = seen + 1, ends + has_eos
    print(f"masks: {seen} sides checked, {ends} end with EOS, no false one", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--beta", type=float, default=0.1)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--lora", type=int, default=0, help="rank; 0 trains all weights")
    args = parser.parse_args()
    policy, out = os.environ["REGROWTH_POLICY"], os.environ["REGROWTH_OUT"]

    cuda = args.device == "cuda"
    # Must precede the models: with ZeRO-3, the config makes transformers split their weights while loading.
    config = DPOConfig(
        output_dir=out,
        seed=int(os.environ["REGROWTH_SEED"]) % 2**32,
        learning_rate=args.learning_rate,
        beta=args.beta,
        per_device_train_batch_size=args.batch,
        num_train_epochs=args.epochs,
        lr_scheduler_type="linear",
        max_length=None,
        save_strategy="no",
        report_to=[],
        logging_steps=5,
        use_cpu=not cuda,
        bf16=cuda,
        gradient_checkpointing=cuda,
    )
    # This class reads tokenizer.json unchanged; AutoTokenizer rebuilds some families from code.
    tokenizer = PreTrainedTokenizerFast.from_pretrained(policy)
    model = AutoModelForCausalLM.from_pretrained(policy)
    lora, reference = None, None
    if args.lora:
        from peft import LoraConfig

        lora = LoraConfig(r=args.lora, lora_alpha=2 * args.lora, target_modules="all-linear",
                          task_type="CAUSAL_LM")
    else:
        reference = AutoModelForCausalLM.from_pretrained(os.environ["REGROWTH_REFERENCE"])
    pairs = read_pairs(os.environ["REGROWTH_PAIRS"])
    trainer = StepTrainer(
        model=model,
        # If an adapter is trained, TRL uses the model without it as the reference.
        ref_model=reference,
        args=config,
        train_dataset=pairs,
        processing_class=tokenizer,
        peft_config=lora,
    )
    if trainer.accelerator.is_main_process:
        check_masks(trainer, pairs, tokenizer.eos_token_id)
    trainer.train()
    trainer.save_model(out)


if __name__ == "__main__":
    main()
