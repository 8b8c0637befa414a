# `make help` lists what there is to make.

CARGO ?= cargo
PREFIX ?= /usr/local
# For `make fuzz`: seconds for each target, and which (all, if empty).
TIME ?= 60
TARGET ?=

# All cargo calls of a test run share profile, features and lock file, so nothing is built twice.
CHECKED = --workspace --locked

# cargo-nextest runs the tests of all crates side by side; CI counts as cargo test does.
ifeq ($(CI),)
NEXTEST := $(shell command -v cargo-nextest 2>/dev/null)
endif

.PHONY: all build install tools lint test demo story bench soak fuzz clean help

all: build

build: ## build target/release/lkbuild (the default)
	$(CARGO) build --release --locked

install: build ## install lkbuild to $(PREFIX)/bin (DESTDIR is honoured)
	install -D -m 755 target/release/lkbuild "$(DESTDIR)$(PREFIX)/bin/lkbuild"

# Without the tools, tests are skipped, each with a line; in CI they fail.
tools:
	@testdata/install-tools || [ -z "$$CI" ]
	@testdata/install-judges || [ -z "$$CI" ]
	@testdata/install-terraform || [ -z "$$CI" ]
	@testdata/vcenter/build >/dev/null || [ -z "$$CI" ]

lint: ## check formatting, lints and the libraries' documentation
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(CHECKED) --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc $(CHECKED) --no-deps

test: tools lint ## everything that must pass: lints, all tests, fuzz seeds, judges, a boot
ifeq ($(NEXTEST),)
	$(CARGO) test $(CHECKED) --no-fail-fast
else
	$(CARGO) nextest run $(CHECKED) --no-fail-fast
	$(CARGO) test $(CHECKED) --doc
endif

demo: tools build ## build a Docker host from Debian's packages and boot it in QEMU
	testdata/guest/demo

# CI: what is missing is a failure, not a test that is skipped.
story: tools ## push an ISO to a simulated vCenter, let Terraform make three VMs, boot them; then version 2
	CI=1 $(CARGO) test $(CHECKED) --test story -- --ignored --nocapture

bench: tools build ## measure builds and how they grow, a push, and disks and the ISO beside other programs
	testdata/bench
	testdata/bench-push
	$(CARGO) build --release --locked --workspace --example convert_disk --example make_iso
	testdata/bench-disks
	testdata/bench-iso
	testdata/bench-growth --svg target/growth.svg
	$(CARGO) bench --locked --package lkbuild --bench parts

soak: tools ## the tests that take long: random layers, faults, boots, rules switched off, fuzzing
	LKBUILD_RANDOM_SEQUENCES=20000 $(CARGO) test --locked --package lkbuild --test layers
	LKBUILD_KILLS=120 $(CARGO) test --locked --package lkbuild --test pipeline kills
	LKBUILD_RANDOM_SEQUENCES=2000 $(CARGO) test --locked --package lkbuild --lib --test pipeline
	$(CARGO) test $(CHECKED) -- --ignored --test-threads 1
	testdata/mutate
	fuzz/run 600

fuzz: ## fuzz each target for TIME seconds (TARGET=name for one)
	fuzz/run $(TIME) $(TARGET)

clean: ## remove what was built
	$(CARGO) clean
	rm -rf fuzz/target fuzz/artifacts

help: ## list these targets
	@sed -n 's/^\([a-z]*\):[^#]*## /\1\t/p' Makefile | sort | expand -t 10
