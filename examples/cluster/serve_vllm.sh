#!/usr/bin/env bash
# The --serve-command of the other scripts in this folder: one vLLM server on each GPU that GPUS lists
# ("0,1,2"), at ports PORT, PORT + 1, ... If one server ends, all end, and `regrowth` starts them again.
#
# `regrowth iterate` sets REGROWTH_CHECKPOINT and REGROWTH_MODEL. Several servers are used instead of one server
# with --data-parallel-size, so that each server caches the prefixes of its own problems and loads adapters.
#
# Tested before release: one server with these flags on a CPU (vLLM 0.32, without --gpu-memory-utilization).
# Not tested: GPUs.
set -euo pipefail
gpus=${GPUS:-0} port=${PORT:-8000}
export VLLM_ALLOW_RUNTIME_LORA_UPDATING=True
for gpu in ${gpus//,/ }; do
    CUDA_VISIBLE_DEVICES=$gpu vllm serve "$REGROWTH_CHECKPOINT" --port "$port" \
        --served-model-name "$REGROWTH_MODEL" --max-logprobs 20 --enable-lora --max-lora-rank 64 \
        --gpu-memory-utilization "${GPU_MEMORY:-0.9}" &
    port=$((port + 1))
done
wait -n
exit 1
