# The program alone, as an ordinary user, without a shell. What it is built from is in Cargo.lock; dependencies are a layer of
# their own, which is built again only when Cargo.toml or Cargo.lock change.
#
# Tags move when Debian mends something, which is wanted for a build of today; for one that can be repeated to the byte give
# digests: docker build --build-arg BUILD=rust:1.95-slim-bookworm@sha256:… --build-arg RUNTIME=…@sha256:… (docker buildx
# imagetools inspect prints them).
ARG BUILD=rust:1.95-slim-bookworm
ARG RUNTIME=gcr.io/distroless/cc-debian12:nonroot

FROM ${BUILD} AS build
WORKDIR /onsale
# Without line tables the image is a third as large. Statements are checked against .sqlx: there is no database here.
ENV CARGO_PROFILE_RELEASE_DEBUG=false SQLX_OFFLINE=true
COPY Cargo.toml Cargo.lock build.rs ./
# Cargo wants to see every target that it is told of, though none but the program is built.
RUN mkdir -p src benches/streams benches/floors \
 && echo 'fn main() {}' > src/main.rs \
 && touch src/lib.rs \
 && for bench in token micro streams/main floors/main; do cp src/main.rs benches/$bench.rs; done
RUN cargo build --release --locked --bin onsale && rm -r src
COPY .sqlx .sqlx
COPY migrations migrations
COPY lua lua
COPY web web
COPY src src
# By their times these would be older than what was built from the empty ones.
RUN touch src/main.rs src/lib.rs && cargo build --release --locked --bin onsale

# Distroless has what the program links to (glibc as in the build image, libgcc), certificates and an ordinary user; there is
# nothing in it to run but the program. The roots for TLS to the stores and the time zones are in the program itself.
FROM ${RUNTIME}
LABEL org.opencontainers.image.title="onsale" \
      org.opencontainers.image.description="A fair waiting room and box office" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /onsale/target/release/onsale /usr/local/bin/onsale
USER nonroot
ENV ONSALE_LISTEN=0.0.0.0:8080 ONSALE_METRICS_LISTEN=0.0.0.0:9100
EXPOSE 8080 9100
# It serves on for a moment, with /readyz at 503, and finishes what is under way.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 CMD ["/usr/local/bin/onsale", "health"]
ENTRYPOINT ["/usr/local/bin/onsale"]
CMD ["serve"]
