#!/usr/bin/env bash
# Kills a small run at N random moments in all of its phases (default 200), resumes it and compares the result, byte
# for byte, with an undisturbed run. Then does the same with the parts of a search, and kills a served run, its server
# and its trainer at 30 moments. Usage: benches/scripts/kills.sh [N [SEED]]
set -euo pipefail
cd "$(dirname "$0")/../.."
export REGROWTH_KILLS="${1:-200}" REGROWTH_KILL_SEED="${2:-1}"
cargo test -p regrowth-trainer --test it -- --nocapture crash::killed_at_any_moment
cargo test -p regrowth-mcts --test it -- --nocapture shards::a_part_whose_process
exec cargo test -p regrowth-trainer --test it -- --ignored --nocapture served::kills::
