#!/usr/bin/env bash
# Searches through the chat endpoint of llama.cpp's own server, used like a hosted server, and trains on the pairs:
#     bash benches/peers/chat_server.sh MODEL.gguf CHECKPOINT OUT
# CHECKPOINT is the folder of the same model (tokenizer and weights); OUT must not exist. MCTS and REGROWTH are the paths of the binaries.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
model=$1 checkpoint=$2 out=$3
mcts=${MCTS:-mcts} regrowth=${REGROWTH:-regrowth} port=${PORT:-18431}
mkdir "$out"
if [ -z "${PYTHON:-}" ]; then
    python3 -m venv "$out/venv"
    PYTHON=$out/venv/bin/python
    "$PYTHON" -m pip install -q "$(grep '^xllamacpp==' "$here/servers_requirements.txt")"
fi
"$PYTHON" "$here/llama_cpp_server.py" "$model" "$port" >"$out/server.log" 2>&1 &
server=$!
trap 'kill $server' EXIT
until curl -sf -o "$out/models.json" "localhost:$port/v1/models"; do sleep 1; done

"$mcts" search --policy "http://localhost:$port/v1#model" --server-dialect openai --tokenizer "$checkpoint" \
    --server-context 8192 --server-attempts 100 --server-timeout 1200 --problems builtin:arithmetic --limit "${LIMIT:-4}" \
    --simulations "${SIMULATIONS:-4}" --breadth 2,2 --depth 3 --set search.max_step_tokens=32 --out "$out/search"
"$mcts" pairs --trees "$out/search" --out "$out/pairs.jsonl" --solved-only false
grep -c '"logps_exact":false' "$out/pairs.jsonl"
"$regrowth" train --policy "$checkpoint" --lora 4 --pairs "$out/pairs.jsonl" --out "$out/trained"
