#!/usr/bin/env bash
# Runs the tests that read full copies of published data sets, which are not part of the repository:
# benches/scripts/outside_data.sh FOLDER [SMOLLM2]. With SMOLLM2, a folder with SmolLM2-135M-Instruct in Hugging Face
# layout, also the tests that read a real checkpoint. The table in datasets/tests/it/published.rs
# lists the files that the folder must contain; it also needs verifier_cases/ and model_outputs/.
set -euo pipefail
REGROWTH_DATA="$(cd "${1:?folder with the published sets}" && pwd)"
export REGROWTH_DATA
SMOLLM2="${2:+$(cd "$2" && pwd)}"
cd "$(dirname "$0")/../.."
if [ -n "$SMOLLM2" ]; then
    REGROWTH_SMOLLM2="$SMOLLM2" cargo test -p regrowth-policy --test it -- --ignored hidden_states::
fi
cargo test -p regrowth-datasets --test it -- --ignored published::
cargo test -p regrowth-verifiers --test it --test memory -- --ignored --nocapture
