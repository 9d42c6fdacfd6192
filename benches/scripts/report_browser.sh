#!/usr/bin/env bash
# Opens the report of a finished run, and generated trees, in headless Chromium. Checks: no request, no console
# message, folding, search, use by keyboard alone, hostile text, 5,000 nodes within two seconds, no sideways scrolling
# at 1280 and 400 pixels. Then checks the live page of `regrowth serve` in the same way, for this run and for a copy
# that is reset into its last round: the page must follow the run's progress. Saves screenshots, light and dark.
# `.ci/run` calls this script with a small run.
#
#   benches/scripts/report_browser.sh RUN [SCREENSHOTS]
#
# Needs Chromium (Debian: apt-get install chromium), Node.js and the package registry of npm. The programs
# are those of `cargo build --release --features mcts`; REGROWTH_BIN names another folder of them.
set -euo pipefail
run=$(realpath "${1:?the folder of a finished run}")
shots=${2:-$(mktemp -d)}
here=$(cd "$(dirname "$0")" && pwd)
bin=$(realpath "${REGROWTH_BIN:-$here/../../target/release}")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm install --silent --no-audit --no-fund --prefix "$work" playwright-core@1.65.1
mkdir -p "$shots"
NODE_PATH="$work/node_modules" BIN="$bin" RUN="$run" WORK="$work" SHOTS="$(realpath "$shots")" \
    CHROMIUM="${CHROMIUM:-$(command -v chromium)}" node "$here/report_browser.cjs"
