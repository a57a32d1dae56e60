# Two stages: one builds, one runs. The image that runs holds the program and the CA certificates on a
# minimal Debian, no source and no compiler, and starts the program directly, without a shell.
#
#   docker build -t systemx .
#   docker run --rm -p 8080:8080 systemx

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build

# With traces (otlp): whoever runs an image cannot build it anew for them, and they cost nothing while no endpoint is set.
# The dependencies first, behind empty sources: this layer is built again only when one of them changes.
COPY Cargo.toml Cargo.lock ./
COPY benches benches
RUN mkdir -p src tests \
 && echo 'fn main() {}' > src/main.rs \
 && touch src/lib.rs tests/main.rs \
 && cargo build --release --locked --features otlp --bin systemx

# Then the program. COPY keeps the files' times, which may be older than the layer above: without the
# touch, cargo would take the empty sources for the current ones.
COPY src src
RUN touch src/main.rs src/lib.rs \
 && cargo build --release --locked --features otlp --bin systemx

FROM debian:bookworm-slim
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /build/target/release/systemx /usr/local/bin/systemx
COPY LICENSE LICENSE-MIT /usr/share/doc/systemx/
# For call log and call records; a volume that is mounted here is made with this owner.
RUN install -d -o 10001 -g 10001 -m 0750 /var/lib/systemx

# Every SYSTEMX_* variable of the README may be set; these two belong to the ports below.
ENV SYSTEMX_HOST=0.0.0.0 SYSTEMX_PORT=8080
EXPOSE 8080 8081

# A number, so that "runAsNonRoot" can be checked without a user database. It owns nothing and needs no home.
USER 10001:10001
WORKDIR /
STOPSIGNAL SIGTERM
# The program asks the running exchange for a heartbeat, over a real WebSocket.
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s --retries=3 CMD ["/usr/local/bin/systemx", "health"]
ENTRYPOINT ["/usr/local/bin/systemx"]
CMD ["serve"]
