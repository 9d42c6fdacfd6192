#!/usr/bin/env bash
# Rounds on one GPU with one command: vLLM searches, the built-in trainer trains a LoRA adapter on the
# processor, and vLLM loads it for the next round.
#
#     examples/cluster/one_gpu.sh models/Qwen2.5-0.5B-Instruct gsm8k.jsonl runs/gsm8k
#
# Run before release: this loop against the project's own test server (trainer/tests/it/served), and the
# loading of one adapter into vLLM 0.32 on a CPU. Not run: this script on a GPU.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -eq 3 ] || { echo "usage: one_gpu.sh MODEL PROBLEMS RUN" >&2; exit 2; }
model=$1 problems=$2 run=$3

# One server on all the GPU's memory: training is on the processor. With a trainer on the same GPU
# (trl_zero3.sh) leave it room: GPU_MEMORY=0.45.
export GPUS=0 PORT=${PORT:-8000} GPU_MEMORY=${GPU_MEMORY:-0.9}
regrowth iterate --run "$run" --problems "$problems" --policy "http://localhost:$PORT/v1#policy" \
    --weights "$model" --lora 16 --serve-command "bash $here/serve_vllm.sh"
