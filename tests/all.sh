#!/usr/bin/env bash
# Every check of the project, in the order in which they fail fastest. Needs Rust (rust-toolchain of Cargo.toml's
# rust-version or newer), for the allocator and TLS a C compiler, and for the tests Prometheus' linter, systemd-analyze, Chromium, and
# readers of deployment files; these are installed if this is a Debian as root.
# One profile and one target folder for all of it: tests, docs and benches share what they compile.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Debug information is not looked at here, and incremental data is of no use to a single run.
if [ "${CI:-}" = true ]; then
    export CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_TEST_DEBUG=0
fi

step() {
    local name=$1 started=$SECONDS
    shift
    printf '\n== %s\n' "$name"
    # Not inside a condition: there bash would ignore a failing command in the middle of a function.
    current=$name
    "$@"
    printf -- '-- %s: %d s\n' "$name" $((SECONDS - started))
}
current="start"
trap 'status=$?; if [ "$status" -ne 0 ]; then printf "\nFAILED: %s (status %d)\n" "$current" "$status" >&2; fi' EXIT

tools() {
    if ! command -v cc >/dev/null; then
        apt-get update -q
        apt-get install -qy --no-install-recommends gcc libc6-dev
    fi
    # Checks the unit files.
    if ! command -v systemd-analyze >/dev/null; then
        apt-get update -q
        apt-get install -qy --no-install-recommends systemd
    fi
    # The slim Rust images come without these two.
    cargo fmt --version || rustup component add rustfmt
    cargo clippy --version || rustup component add clippy
    # Prometheus' own linter reads our page of metrics. Only that program: the package would start a server.
    if ! command -v promtool >/dev/null; then
        apt-get update -q
        local folder
        folder=$(mktemp -d)
        (cd "$folder" && apt-get download -q prometheus && dpkg-deb -x prometheus_*.deb .)
        install -m 755 "$folder/usr/bin/promtool" /usr/local/bin/promtool
        rm -rf "$folder"
    fi
    # The console's page is used in a real browser.
    if ! command -v chromium >/dev/null; then
        apt-get update -q
        apt-get install -qy --no-install-recommends chromium
    fi
    promtool --version
    # Readers of the files in docs/deploy, with the schemas of Kubernetes and compose in them; and OpenTelemetry's own of traces.
    if ! target/lint/bin/python -c 'import kubernetes_validate, check_jsonschema, opentelemetry.proto' 2>/dev/null; then
        if ! python3 -c 'import ensurepip' 2>/dev/null; then
            apt-get update -q
            apt-get install -qy --no-install-recommends python3-venv
        fi
        python3 -m venv target/lint
        target/lint/bin/pip install -q kubernetes-validate==1.37.0 check-jsonschema==0.39.0 opentelemetry-proto==1.45.2
    fi
    cargo --version
}

documentation() {
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --all-features --no-deps
}

benches() {
    # Each once and small, not optimised: that they work, not how fast. A release build would take longer than all tests.
    cargo test --locked --all-features --bench '*'
}

# Unit tests, the integration binary (style, licences, packaging, scenarios) and the examples in the docs.
tests() {
    cargo test --locked --all-features
}

# A few hundred seeds beyond those of the tests; a failing one is shrunk and says how to repeat it.
simulation() {
    target/debug/systemx sim --seed 1 --seeds 600 --events 600
}

step "tools" tools
step "Cargo.lock is up to date" cargo fetch --locked
step "format" cargo fmt --check
step "clippy" cargo clippy --locked --all-targets --all-features -- -D warnings
# What only these builds compile; the tests are those of all features, so that everything is built once.
step "clippy with the default features" cargo clippy --locked -- -D warnings
step "clippy without features" cargo clippy --locked --no-default-features -- -D warnings
step "tests" tests
step "simulation" simulation
step "documentation" documentation
step "benches" benches

current="end"
printf '\nall checks passed in %d s\n' "$SECONDS"
