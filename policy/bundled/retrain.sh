#!/usr/bin/env bash
# Makes the bundled checkpoint again from nothing: corpus, training, figures, files.
#
#   policy/bundled/retrain.sh [WORK FOLDER]
#
# Training saves its state every two minutes; the same command goes on after an interruption. The
# files in this folder are replaced at the end.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=${1:-target/bundled}

cargo build --release
bin=target/release/regrowth

# First looking words up, with nothing else; then the skills; then the habit of merging several
# operations into one line and of skipping hops, which leaves the search something to find. A corpus
# and the training on it take the seed given to both.
"$bin" corpus --out "$work/copies" --examples 16000 --copy-share 1 --seed 2
if [ ! -f "$work/copies/checkpoint/model.safetensors" ]; then
    "$bin" sft --init "$work/copies/init" --data "$work/copies/corpus.jsonl" --out "$work/copies" \
        --optimizer muon --in-order --schedule linear --learning-rate 3e-3 --batch-tokens 2048 --seed 0
fi
"$bin" corpus --out "$work/skills" --examples 120000 --merge-scale 1.2 --skip-scale 0 --seed 0
if [ ! -f "$work/skills/checkpoint/model.safetensors" ]; then
    "$bin" sft --policy "$work/copies/checkpoint" --data "$work/skills/corpus.jsonl" \
        --out "$work/skills" --lora 0 --optimizer muon --in-order --schedule linear --learning-rate 3e-3 \
        --batch-tokens 4096 --seed 0
fi
"$bin" corpus --out "$work/habits" --examples 12000 --merge-scale 1.75 --skip-scale 2.25 \
    --drill-share 0 --seed 1
if [ ! -f "$work/habits/checkpoint/model.safetensors" ]; then
    "$bin" sft --policy "$work/skills/checkpoint" --data "$work/habits/corpus.jsonl" \
        --out "$work/habits" --lora 0 --optimizer muon --schedule linear --learning-rate 1e-3 \
        --batch-tokens 8192 --seed 0
fi
for task in arithmetic choice countdown; do
    "$bin" evaluate --policy "$work/habits/checkpoint" --problems "builtin:$task" \
        --split validation --limit 500 --samples 32 --temperature 1 --out "$work/figures"
done
cp "$work"/habits/checkpoint/* policy/bundled/
