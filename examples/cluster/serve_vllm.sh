#!/usr/bin/env bash
# The --serve-command of the scripts beside it: a vLLM server on each GPU that GPUS lists ("0,1,2"), at
# ports PORT, PORT + 1, ... If one ends, all end, and `regrowth` starts them again.
#
# `regrowth iterate` sets REGROWTH_CHECKPOINT and REGROWTH_MODEL. Several servers and not one with
# --data-parallel-size: each keeps the prefix cache of its own problems, and each loads adapters.
#
# Run before release: one server of these flags on a CPU (vLLM 0.32, without --gpu-memory-utilization).
# Not run: on GPUs.
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
