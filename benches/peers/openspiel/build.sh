#!/usr/bin/env bash
# Builds OpenSpiel's tree search on the synthetic game and prints the path of the program (Linux;
# python3 with pip, g++ with C++20; the first time about two minutes of one core, 50 MB).
#
#     export OPENSPIEL_MCTS=$(benches/peers/openspiel/build.sh DIR)
#     cargo run --release --manifest-path benches/peers/Cargo.toml
#
# All files are created in DIR; existing ones are reused. Only the parts of the library that the search needs are
# compiled: no games, no Python module.
set -euo pipefail

[ $# = 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1/objects"
dir=$(cd "$1" && pwd)
release=open_spiel-2.0.2
library=$dir/$release/open_spiel
program=$dir/openspiel-search

# A folder gets its final name when it is complete.
if [ ! -d "$dir/$release" ]; then
    python3 -m pip download --quiet --no-deps --no-binary open_spiel --dest "$dir" \
        open_spiel==2.0.2 >&2
    mkdir -p "$dir/unpacking"
    tar -xzf "$dir/$release.tar.gz" -C "$dir/unpacking"
    mv "$dir/unpacking/$release" "$dir/$release"
    rmdir "$dir/unpacking"
fi

compile() { # ARGUMENTS OF THE COMPILER
    g++ -std=c++20 -O3 -DNDEBUG -march=native -isystem "$dir/$release" \
        -isystem "$library/abseil-cpp" -isystem "$library/json/include" "$@"
}
object() { # SOURCE FILE OF THE LIBRARY
    local path=${1#"$library/"}
    local object=$dir/objects/${path//\//-}.o
    if [ ! -f "$object" ]; then
        compile -w -c "$1" -o "$object.part"
        mv "$object.part" "$object"
    fi
}

for name in algorithms/mcts game_parameters observer spiel spiel_utils utils/status \
    utils/usage_logging; do
    object "$library/$name.cc"
done
cd "$library/abseil-cpp/absl"
find base container debugging hash numeric strings synchronization time -name '*.cc' \
    ! -name '*test*' ! -name '*benchmark*' ! -name '*mock*' |
    while read -r path; do object "$library/abseil-cpp/absl/$path"; done

# From an archive, the linker takes only the objects that are needed.
rm -f "$dir/library.a"
ar rcs "$dir/library.a" "$dir"/objects/*.o
compile -Wall -Wextra "$here/search.cc" "$dir/library.a" -pthread -o "$program"
echo "$program"
