#!/usr/bin/env bash
# The --trainer-command of a round: TRL through accelerate with DeepSpeed ZeRO-3, on all visible GPUs.
#
#     regrowth iterate ... --trainer-command "bash examples/cluster/trl_zero3.sh --lora 16"
#
# It trains on the token ids of the pairs. TRL's own text preparation would append EOS to both sides of every
# pair, so the model would learn to end solutions after steps that do not end them. Before the first optimizer
# step, the trainer checks that the loss covers exactly the tokens of the two steps (benches/peers/trl_trainer.py).
#
#     pip install -r benches/peers/trl_requirements.txt deepspeed
#
# Tested before release: the same trainer through accelerate on a CPU, without DeepSpeed (the test
# `hand_off::` of regrowth-trainer). Not tested: DeepSpeed and GPUs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
processes=${PROCESSES:-$(nvidia-smi --list-gpus | wc -l)}
if [ -n "${CUDA_VISIBLE_DEVICES:-}" ]; then
    commas=${CUDA_VISIBLE_DEVICES//[^,]/}
    processes=$((${#commas} + 1))
fi
exec accelerate launch --config_file "$here/zero3.yaml" --num_processes "$processes" \
    "$here/../../benches/peers/trl_trainer.py" --device cuda --batch 1 "$@"
