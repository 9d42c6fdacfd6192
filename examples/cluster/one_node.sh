#!/usr/bin/env bash
# Rounds on one node of 8 GPUs with one command: a vLLM server on each GPU in SERVE (data-parallel), and TRL
# with DeepSpeed ZeRO-3 on the GPUs in TRAIN. The servers are idle during training.
#
#     examples/cluster/one_node.sh models/Qwen2.5-7B-Instruct gsm8k.jsonl runs/gsm8k
#
# Tested before release: one run with several of the project's own test servers (benches/examples/fleet.rs: 32
# servers). Not tested: this script on 8 GPUs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -eq 3 ] || { echo "usage: one_node.sh MODEL PROBLEMS RUN" >&2; exit 2; }
model=$1 problems=$2 run=$3
serve=${SERVE:-0,1,2,3,4,5} train=${TRAIN:-6,7}

export GPUS=$serve PORT=${PORT:-8000}
policy=()
port=$PORT
for _ in ${serve//,/ }; do
    policy+=(--policy "http://localhost:$port/v1#policy")
    port=$((port + 1))
done
regrowth iterate --run "$run" --problems "$problems" "${policy[@]}" --weights "$model" \
    --serve-command "bash $here/serve_vllm.sh" \
    --trainer-command "CUDA_VISIBLE_DEVICES=$train bash $here/trl_zero3.sh --lora 16"
