#!/usr/bin/env bash
# Runs the tests that read full copies of the published sets, which are not part of the repository:
# benches/scripts/outside_data.sh FOLDER. Which files the folder must hold is the table in
# datasets/tests/it/published.rs, with verifier_cases/ and model_outputs/ beside them.
set -euo pipefail
REGROWTH_DATA="$(cd "${1:?folder with the published sets}" && pwd)"
export REGROWTH_DATA
cd "$(dirname "$0")/../.."
cargo test -p regrowth-datasets --test it -- --ignored published::
cargo test -p regrowth-verifiers --test it --test memory -- --ignored --nocapture
