# The program alone, as an ordinary user. Dependencies are built in a layer of their own, from the lock file.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /onsale
COPY Cargo.toml Cargo.lock build.rs ./
RUN mkdir -p src benches/streams benches/floors && echo 'fn main() {}' > src/main.rs && touch src/lib.rs \
 && for bench in token micro streams/main floors/main; do cp src/main.rs benches/$bench.rs; done \
 && cargo build --release --locked --bin onsale && rm -r src
COPY .sqlx .sqlx
COPY migrations migrations
COPY lua lua
COPY src src
RUN touch src/main.rs src/lib.rs && SQLX_OFFLINE=true cargo build --release --locked --bin onsale

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --user-group onsale
COPY --from=build /onsale/target/release/onsale /usr/local/bin/onsale
USER onsale
ENV ONSALE_LISTEN=0.0.0.0:8080 ONSALE_METRICS_LISTEN=0.0.0.0:9100
EXPOSE 8080 9100
ENTRYPOINT ["onsale"]
CMD ["serve"]
