#!/usr/bin/env bash
# Makes the embedded checkpoint again from nothing: corpus, training, figures, files.
#
#   policy/seedling/retrain.sh [WORK FOLDER]
#
# Training saves its state every two minutes; the same command goes on after an interruption. The
# files in this folder are replaced at the end.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=${1:-target/seedling}

cargo build --release
bin=target/release/regrowth

if [ ! -f "$work/sft/checkpoint/model.safetensors" ]; then
    "$bin" corpus --out "$work" --examples 120000 --merge-scale 1.5 --seed 0
    "$bin" sft --init "$work/init" --data "$work/corpus.jsonl" --out "$work/sft" \
        --muon --in-order --schedule linear --learning-rate 3e-3 --seed 0
fi
for task in arithmetic choice countdown; do
    "$bin" evaluate --policy "$work/sft/checkpoint" --problems "builtin:$task" \
        --split validation --limit 500 --samples 32 --temperature 1 --out "$work/figures"
done
cp "$work"/sft/checkpoint/* policy/seedling/
