#!/usr/bin/env bash
# A round on a Slurm cluster: an array of searches, each with a vLLM server on its own GPU, then one job
# that merges the parts and trains. Run it on a login node; all paths must be on a shared file
# system.
#
#     examples/cluster/slurm_round.sh submit models/Qwen2.5-7B-Instruct gsm8k.jsonl rounds/1 8
#     examples/cluster/slurm_round.sh submit rounds/1/trained gsm8k.jsonl rounds/2 8
#
# A task that died or was requeued continues where it stopped: submit again, or let Slurm requeue it. The tasks
# of complete parts end at once.
#
# Tested before release: parts, dying processes and merging, on one machine (mcts/tests/it/shards.rs). Not
# tested: this script. It passes shellcheck, and `mcts` accepts its commands.
set -euo pipefail
[ $# -eq 5 ] || { echo "usage: slurm_round.sh submit MODEL PROBLEMS OUT PARTS" >&2; exit 2; }
step=$1 model=$2 problems=$3 out=$4 parts=$5
# Slurm runs a copy of this script from its own folder.
here=${HERE:-$(cd "$(dirname "$0")" && pwd)}
export HERE=$here

submit() {
    mkdir -p "$out"
    local search
    search=$(sbatch --parsable --job-name=search --array="1-$parts" --requeue --gpus=1 \
        --cpus-per-task=8 --time=12:00:00 --output="$out/search-%a.log" \
        "$here/slurm_round.sh" search "$model" "$problems" "$out" "$parts")
    sbatch --job-name=train --dependency="afterok:$search" --gpus=8 --cpus-per-task=32 --time=12:00:00 \
        --output="$out/train.log" "$here/slurm_round.sh" train "$model" "$problems" "$out" "$parts"
}

search() {
    # Tasks that share a node need different ports.
    local part=$SLURM_ARRAY_TASK_ID
    local port=$((8000 + part % 1000))
    vllm serve "$model" --port "$port" --served-model-name policy --max-logprobs 20 &
    server=$!
    trap 'kill $server' EXIT
    until curl --silent --fail "http://localhost:$port/v1/models" > /dev/null; do
        kill -0 "$server" || exit 1
        sleep 2
    done
    mcts search --policy "http://localhost:$port/v1#policy" --tokenizer "$model" \
        --problems "$problems" --out "$out" --shard "$part/$parts"
}

train() {
    mcts merge --out "$out"
    mkdir -p "$out/trained"
    export REGROWTH_PAIRS=$out/pairs.jsonl REGROWTH_OUT=$out/trained REGROWTH_SEED=0
    export REGROWTH_POLICY=$model REGROWTH_REFERENCE=$model
    bash "$here/trl_zero3.sh"
}

case $step in
    submit | search | train) "$step" ;;
    *) echo "expected submit, search or train, got $step" >&2; exit 2 ;;
esac
