# Builds a small image with both commands:
#   docker build -t regrowth .
#   docker run --rm -v "$PWD:/work" regrowth iterate --run runs/default
#   docker run --rm -v "$PWD:/work" --entrypoint mcts regrowth search --out search
FROM rust:1.95-slim-trixie AS build
RUN apt-get update && apt-get install --yes --no-install-recommends gcc g++ git make libc6-dev \
    && rm -rf /var/lib/apt/lists/*
COPY . /source
RUN cargo install --locked --path /source/trainer --features mcts --root /out

FROM debian:trixie-slim
COPY --from=build /out/bin/regrowth /out/bin/mcts /usr/local/bin/
WORKDIR /work
ENTRYPOINT ["regrowth"]
