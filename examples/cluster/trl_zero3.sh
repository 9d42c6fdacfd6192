#!/usr/bin/env bash
# The --trainer-command of a round: TRL through accelerate with DeepSpeed ZeRO-3, on all GPUs that it sees.
#
#     regrowth iterate ... --trainer-command "bash examples/cluster/trl_zero3.sh --lora 16"
#
# It trains on the token ids of the pairs: TRL's own text preparation appends EOS to both sides of every
# pair, and a step that ends no solution would be taught to end one. Before the first step the trainer
# checks that exactly the tokens of the two steps are scored (benches/peers/trl_trainer.py).
#
#     pip install -r benches/peers/trl_requirements.txt deepspeed
#
# Run before release: the same trainer through accelerate on a CPU, without DeepSpeed (the test
# `hand_off::` of regrowth-trainer). Not run: with DeepSpeed, or on GPUs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
processes=${PROCESSES:-$(nvidia-smi --list-gpus | wc -l)}
if [ -n "${CUDA_VISIBLE_DEVICES:-}" ]; then
    commas=${CUDA_VISIBLE_DEVICES//[^,]/}
    processes=$((${#commas} + 1))
fi
exec accelerate launch --config_file "$here/zero3.yaml" --num_processes "$processes" \
    "$here/../../benches/peers/trl_trainer.py" --device cuda --batch 1 "$@"
