#!/usr/bin/env bash
# Runs two rounds of `regrowth iterate` whose search uses a real vLLM server (CPU, f32), installation included: usage
#
#     bash benches/peers/vllm_rounds.sh FOLDER MODEL [PROBLEMS]
#
# FOLDER gets the environment, the run and the logs; MODEL is SmolLM2-135M-Instruct as a Hugging Face
# folder. Each round searches PROBLEMS problems (default 12). Adapters are trained by the built-in trainer or, if
# TRAINER is set, by TRAINER as the --trainer-command. The run loads each adapter into the running server and checks it.
# At the end the server with the last adapter and the engine in this process answer 100 problems greedily; at least 98
# answers must be equal. REGROWTH is the path of the program (by default, that of a --release build).
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
model=$(cd "$2" && pwd)
problems=${3:-12}
port=${PORT:-18321}
root=$(cd "$(dirname "$0")/../.." && pwd)
environment=${VLLM_VENV:-$folder/venv}
[ -x "$environment/bin/vllm" ] || bash "$root/benches/peers/vllm_env.sh" "$environment"
if [ -z "${REGROWTH:-}" ]; then
    (cd "$root" && cargo build --release -p regrowth-trainer)
    REGROWTH=$root/target/release/regrowth
fi

export VLLM_ALLOW_RUNTIME_LORA_UPDATING=True VLLM_CPU_OMP_THREADS_BIND=nobind VLLM_CPU_KVCACHE_SPACE=1
"$environment/bin/vllm" serve "$model" --served-model-name smol --port "$port" --dtype float32 \
    --max-model-len 1024 --max-logprobs 20 --max-num-seqs 16 --enforce-eager \
    --enable-lora --max-lora-rank 16 > "$folder/vllm.log" 2>&1 &
server=$!
trap 'kill $server; wait $server || true' EXIT
until curl -sf "http://127.0.0.1:$port/health" > /dev/null; do
    kill -0 $server || { tail -30 "$folder/vllm.log"; exit 1; }
    sleep 2
done

cat > "$folder/rounds.toml" <<TOML
preset = "chat"
problems = "builtin:arithmetic"
rounds = 2
problems_per_round = $problems
validation_problems = 20
test_problems = 8
min_pairs = 1
gate = "off"
kl_problems = 4
[search]
simulations = 4
breadth = [3, 2]
max_depth = 3
max_step_tokens = 24
max_solution_tokens = 64
[pairs]
solved_only = false
[dpo]
learning_rate = 1e-4
batch_pairs = 8
TOML
policy="http://127.0.0.1:$port/v1#smol"
trainer=(--lora 8)
[ -z "${TRAINER:-}" ] || trainer=(--trainer-command "$TRAINER")
time "$REGROWTH" iterate --config "$folder/rounds.toml" --run "$folder/run" --policy "$policy" \
    --weights "$model" "${trainer[@]}"

checkpoint=$folder/run/round-0002/checkpoint
curl -sf "http://127.0.0.1:$port/v1/load_lora_adapter" -H 'content-type: application/json' \
    -d "{\"lora_name\": \"last\", \"lora_path\": \"$checkpoint\"}"
echo
answer() {
    "$REGROWTH" evaluate --problems builtin:arithmetic --split test --limit 100 --max-tokens 64 "$@"
}
answer --policy "http://127.0.0.1:$port/v1#last" --tokenizer "$model" --server-context 1024 \
    --out "$folder/served"
answer --policy "$checkpoint" --out "$folder/own"
python3 - "$folder" <<'PYTHON'
import json, pathlib, sys

def texts(name):
    rows = next(pathlib.Path(sys.argv[1], name).rglob("samples_*.jsonl")).read_text().splitlines()
    return {row["doc"]["id"]: row["resps"][0][0] for row in map(json.loads, rows)}

served, own = texts("served"), texts("own")
equal = sum(served[id] == own[id] for id in own)
print(f"{equal} of {len(own)} greedy answers of the last round are equal")
sys.exit(equal * 100 < 98 * len(own))
PYTHON
