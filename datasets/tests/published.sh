#!/usr/bin/env bash
# Reads a copy of the published sets: datasets/tests/published.sh FOLDER. Which files the folder must
# hold is the table in published.rs.
set -euo pipefail
export REGROWTH_PUBLISHED="$(cd "${1:?folder with the published sets}" && pwd)"
cd "$(dirname "$0")/.."
cargo test --test published -- --ignored
