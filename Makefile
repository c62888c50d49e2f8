# What a developer types here. `make` alone lists it.

CARGO ?= cargo

.DEFAULT_GOAL := help
.PHONY: help run test chaos lint sql audit load bench pictures compiler

## help: list these targets
help:
	@sed -n 's/^## /make /p' $(firstword $(MAKEFILE_LIST))

## run: build, and serve with a Redis and a Postgres of its own (Ctrl-C stops all; ONSALE_* variables are settings)
run: compiler
	$(CARGO) build --release --locked
	@exec "$${CARGO_TARGET_DIR:-target}/release/onsale" dev --stop-with-parent

## test: all that CI checks: format, lints, documentation, tests
test: lint
	RUST_BACKTRACE=0 $(CARGO) test --locked

## chaos: ten minutes of random faults on the whole service, then every invariant checked (SECONDS=… SEED=… ARGS=…)
chaos: compiler
	$(CARGO) test --release --locked --test chaos -- --seconds $(or $(SECONDS),600) $(if $(SEED),--seed $(SEED)) $(ARGS)

## lint: check format, lints and documentation without running anything
lint: compiler
	@$(CARGO) fmt --version >/dev/null 2>&1 || { echo "rustfmt is missing. Install it: rustup component add rustfmt" >&2; exit 1; }
	@$(CARGO) clippy --version >/dev/null 2>&1 || { echo "clippy is missing. Install it: rustup component add clippy" >&2; exit 1; }
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --locked

## audit: check a running shop's invariants in its Redis and Postgres (that of `make run`, unless DATABASE_URL and REDIS_URL say)
audit: compiler
	@if [ -z "$$DATABASE_URL" ] && [ -f "$${ONSALE_HOME:-.onsale}/env" ]; then set -a; . "$${ONSALE_HOME:-.onsale}/env"; fi; \
	exec $(CARGO) run --release --locked -- audit

## load: play a k6 scenario on a running shop, then audit it (SCENARIO=smoke, ticket-open, one-seat, poll-storm, soak; k6/README.md)
load: compiler
	@command -v k6 >/dev/null 2>&1 || exec k6/load $(or $(SCENARIO),smoke)
	$(CARGO) build --release --locked
	@k6/load $(or $(SCENARIO),smoke)

## sql: renew .sqlx after a change of statements (DATABASE_URL: a migrated database, such as that of `make run`)
sql: compiler
	@test -n "$$DATABASE_URL" || { echo "DATABASE_URL must name a migrated database." >&2; exit 1; }
	rm -rf .sqlx && mkdir .sqlx && touch src/lib.rs
	SQLX_OFFLINE=false SQLX_OFFLINE_DIR="$(CURDIR)/.sqlx" $(CARGO) check --locked

## bench: every call beside its floor (docs/performance.md; ARGS='--only hold --seconds 5'), then what is worth a microscope
bench: compiler
	$(CARGO) bench --locked --bench floors -- $(ARGS)
	$(CARGO) bench --locked $(patsubst benches/%.rs,--bench %,$(wildcard benches/*.rs))

## pictures: take the README's pictures again (docs/pictures), of a sale in a real browser
pictures: compiler
	$(CARGO) test --locked --test it pages::picture -- --ignored

# Rust needs a C compiler to link with; it is installed where it is missing, unless ONSALE_INSTALL=0.
compiler:
	@command -v cc >/dev/null 2>&1 && exit 0; \
	if [ "$$ONSALE_INSTALL" = 0 ]; then echo "No C compiler (cc) found: install gcc first." >&2; exit 1; fi; \
	sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	echo "No C compiler (cc) found: installing gcc."; \
	if command -v apt-get >/dev/null; then \
	  $$sudo apt-get update; $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends gcc libc6-dev; \
	elif command -v dnf >/dev/null; then $$sudo dnf install -y gcc; \
	elif command -v apk >/dev/null; then $$sudo apk add gcc musl-dev; \
	else echo "No known package manager: install a C compiler first (macOS: xcode-select --install)." >&2; exit 1; fi
