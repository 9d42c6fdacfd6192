#!/usr/bin/env bash
# Kills a small run at N random moments over all its phases (default 200) and compares what it ends
# with, byte for byte, with a run that was left alone. Usage: benches/scripts/kills.sh [N [SEED]]
set -euo pipefail
cd "$(dirname "$0")/../.."
export REGROWTH_KILLS="${1:-200}" REGROWTH_KILL_SEED="${2:-1}"
exec cargo test -p regrowth-trainer --test it -- --nocapture crash::killed_at_any_moment
