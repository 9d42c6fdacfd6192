#!/usr/bin/env bash
# Builds llama.cpp's own HTTP server (C++) from the sources in the package llama-cpp-python, for
# tree_workload.py: usage `bash benches/peers/llama_server.sh FOLDER`, which creates
# FOLDER/llama-server. Needs a C++ compiler and Python; takes about ten minutes on one core.
set -euo pipefail
version=0.3.36 # of engines_requirements.txt
mkdir -p "$1"
cd "$1"
python3 -m venv build-tools
build-tools/bin/pip install -q cmake==4.1.2 ninja==1.13.0
source=$PWD/llama_cpp_python-$version
if [ ! -d "$source" ]; then
    [ -f "$source.tar.gz" ] ||
        build-tools/bin/pip download -q --no-deps --no-binary llama-cpp-python "llama-cpp-python==$version"
    tar xzf "$source.tar.gz"
fi
build-tools/bin/cmake -S "$source/vendor/llama.cpp" -B server -G Ninja \
    -DCMAKE_MAKE_PROGRAM="$PWD/build-tools/bin/ninja" -DCMAKE_BUILD_TYPE=Release \
    -DBUILD_SHARED_LIBS=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_BUILD_TESTS=OFF \
    -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF
build-tools/bin/cmake --build server --target llama-server
cp server/bin/llama-server llama-server
./llama-server --version
