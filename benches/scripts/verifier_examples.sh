#!/usr/bin/env bash
# Runs the tests of examples/verifiers, which need Python with SymPy, PyTorch and transformers:
# benches/scripts/verifier_examples.sh [PYTHON].
set -euo pipefail
export PYTHON="${1:-python3}"
cd "$(dirname "$0")/../.."
cargo test -p regrowth-mcts --test it -- --ignored verifier_examples::
