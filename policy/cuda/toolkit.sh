#!/usr/bin/env bash
# Makes a CUDA toolkit from Python wheels, enough to build with the feature `cuda` on a machine with
# neither a GPU nor CUDA (Linux on x86-64; python3 with pip, gcc, g++; 1.2 GB).
#
#     policy/cuda/toolkit.sh DIR
#     . DIR/env.sh
#     cargo build --release --features cuda
#
# The program then starts on every machine: it looks for the driver and the CUDA 13 libraries when a
# GPU is asked for, and says what is missing. Where there is a CUDA toolkit already, cargo finds it by
# CUDA_HOME and none of this is needed.
set -euo pipefail

[ $# = 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
dir=$(cd "$1" && pwd)
home=$dir/wheels/nvidia/cu13

# Newer ones are ahead of what cudarc knows.
python3 -m pip install --quiet --no-deps --upgrade --target "$dir/wheels" \
    nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88 \
    nvidia-cuda-nvrtc==13.0.88 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85 \
    nvidia-curand==10.4.0.35 nvidia-cublas==13.0.2.14
ln -sfn lib "$home/lib64"

# Libraries that find the real ones at the first call; the runtime goes into the program.
stubs=$dir/stubs
mkdir -p "$stubs"
cp "$home/lib/libcudart_static.a" "$stubs/libcudart.a"
stub() { # NAME FILE FAILURE < names of functions
    python3 "$here/lazy_library.py" "$2" "$3" > "$stubs/$1.c"
    gcc -O2 -c -o "$stubs/$1.o" "$stubs/$1.c"
    rm -f "$stubs/lib$1.a"
    ar rcs "$stubs/lib$1.a" "$stubs/$1.o"
}
exported() { nm -D --defined-only "$home/lib/$1" | awk '$2 == "T" { sub(/@.*/, "", $3); print $3 }'; }
# 100: no device; 1: not initialised, or out of memory for nvrtc; 203: initialisation failed.
grep -o '\bcu[A-Z][A-Za-z0-9_]*' "$home/include/cuda.h" | stub cuda libcuda.so.1 100
exported libcublas.so.13 | stub cublas libcublas.so.13 1
exported libcublasLt.so.13 | stub cublasLt libcublasLt.so.13 1
exported libcurand.so.10 | stub curand libcurand.so.10 203
exported libnvrtc.so.13 | stub nvrtc libnvrtc.so.13 1

cat > "$dir/env.sh" <<END
export CUDA_HOME='$home' CUDA_PATH='$home'
export PATH='$home/bin':"\$PATH"
export LIBRARY_PATH='$stubs'\${LIBRARY_PATH:+:\$LIBRARY_PATH}
# Kernels for Ampere and, through the driver, for what is newer.
export CUDA_COMPUTE_CAP=\${CUDA_COMPUTE_CAP:-80}
# Beside the builds without CUDA.
export CARGO_TARGET_DIR=\${CARGO_TARGET_DIR:-target/cuda}
END
echo "now: . $dir/env.sh && cargo build --release --features cuda"
