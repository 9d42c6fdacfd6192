#!/usr/bin/env bash
# Compares judges on a real vLLM server (CPU, f32) with the same judges in this process: usage
#
#     bash benches/peers/vllm_judges.sh FOLDER MODEL
#
# FOLDER gets the environment, two random reward models (one label, two labels), the searches and the logs; MODEL is
# SmolLM2-135M-Instruct as a Hugging Face folder. For each of the three judges, a scripted search
# runs first with the judge in this process, then with the judge on its own vLLM server. Scores of the reward models must be
# within 1e-4 of each other, those of the language model's (A)/(B) question within 1e-3. MCTS is the path of the program
# (by default, that of a --release build).
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
model=$(cd "$2" && pwd)
port=${PORT:-18331}
root=$(cd "$(dirname "$0")/../.." && pwd)
peers=$root/benches/peers
environment=${VLLM_VENV:-$folder/venv}
[ -x "$environment/bin/vllm" ] || bash "$peers/vllm_env.sh" "$environment"
if [ -z "${MCTS:-}" ]; then
    (cd "$root" && cargo build --release -p regrowth-mcts)
    MCTS=$root/target/release/mcts
fi
python=$environment/bin/python
for labels in 1 2; do
    [ -f "$folder/labels-$labels/config.json" ] ||
        "$python" "$peers/vllm_judges.py" make "$folder/labels-$labels" "$model" "$labels"
done

server=
stop() {
    [ -z "$server" ] || { kill "$server" && wait "$server" || true; }
    server=
}
trap stop EXIT
serve() {
    VLLM_CPU_OMP_THREADS_BIND=nobind VLLM_CPU_KVCACHE_SPACE=1 \
        "$environment/bin/vllm" serve "$1" --served-model-name judge --port "$port" --dtype float32 \
        --max-model-len 1024 --max-num-seqs 16 --enforce-eager "${@:2}" > "$1.log" 2>&1 &
    server=$!
    until curl -sf "http://127.0.0.1:$port/health" > /dev/null; do
        kill -0 $server || { tail -30 "$1.log"; exit 1; }
        sleep 2
    done
}
search() {
    rm -rf "$2"
    "$MCTS" search --policy scripted --problems builtin:arithmetic --limit 3 --seed 7 \
        --set search.simulations=4 --judge-policy "$1" --out "$2"
}
# NAME, LIMIT, the folder of the judge, and flags of vLLM.
compare() {
    search "$3" "$folder/own-$1"
    ln -sfn "$3" "$folder/$1"
    serve "$folder/$1" "${@:4}"
    search "http://127.0.0.1:$port/v1#judge" "$folder/served-$1"
    stop
    echo "$1:"
    "$python" "$peers/vllm_judges.py" compare "$folder/own-$1" "$folder/served-$1" "$2"
}
compare reward-1 1e-4 "$folder/labels-1"
compare reward-2 1e-4 "$folder/labels-2"
compare question 1e-3 "$model" --max-logprobs 20
