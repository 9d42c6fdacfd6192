#!/usr/bin/env bash
# Kills a small run at N random moments over all its phases (default 200) and compares what it ends
# with, byte for byte, with a run that was left alone; then the parts of a search as often, and a served
# run, its server and its trainer at 30 moments. Usage: benches/scripts/kills.sh [N [SEED]]
set -euo pipefail
cd "$(dirname "$0")/../.."
export REGROWTH_KILLS="${1:-200}" REGROWTH_KILL_SEED="${2:-1}"
cargo test -p regrowth-trainer --test it -- --nocapture crash::killed_at_any_moment
cargo test -p regrowth-mcts --test it -- --nocapture shards::a_part_whose_process
exec cargo test -p regrowth-trainer --test it -- --ignored --nocapture served::kills::
