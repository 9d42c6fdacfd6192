#!/usr/bin/env bash
# Rounds on one GPU with one command: vLLM searches, the built-in trainer trains a LoRA adapter on the
# CPU, and vLLM loads the adapter for the next round.
#
#     examples/cluster/one_gpu.sh models/Qwen2.5-0.5B-Instruct gsm8k.jsonl runs/gsm8k
#
# Tested before release: this loop with the project's own test server (trainer/tests/it/served), and loading
# one adapter into vLLM 0.32 on a CPU. Not tested: this script on a GPU.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -eq 3 ] || { echo "usage: one_gpu.sh MODEL PROBLEMS RUN" >&2; exit 2; }
model=$1 problems=$2 run=$3

# The server may use all the GPU's memory, because training runs on the CPU. If a trainer runs on the same GPU
# (trl_zero3.sh), leave memory for it: GPU_MEMORY=0.45.
export GPUS=0 PORT=${PORT:-8000} GPU_MEMORY=${GPU_MEMORY:-0.9}
regrowth iterate --run "$run" --problems "$problems" --policy "http://localhost:$PORT/v1#policy" \
    --weights "$model" --lora 16 --serve-command "bash $here/serve_vllm.sh"
