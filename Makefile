# Every target does its own set-up; see README.md.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -eu -o pipefail -c
.PHONY: build setup run demo test bench chaos clean
CONFIGURATION ?= Release
export CONFIGURATION

build:
	@dotnet build Relay.sln --nologo -v q -clp:NoSummary -c $(CONFIGURATION)

setup:
	@bash tests/setup.sh

run: setup build
	@bash src/embedded/run.sh

demo: setup build
	@bash src/embedded/demo.sh

test: setup build
	@bash tests/run.sh

# One benchmark or a group: make bench FILTER=ssh.
bench: setup build
	@.artifacts/bin/Relay.Bench/release/Relay.Bench $(FILTER)

# Breaks a grid of real processes for a while and checks what happened: make chaos MINUTES=30; repeats one: make chaos SEED=17 ROUNDS=9.
chaos: setup build
	@.artifacts/bin/Relay.Chaos/release/Relay.Chaos $(if $(ROUNDS),--rounds $(ROUNDS),--minutes $(or $(MINUTES),5)) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY))

clean:
	@rm -rf .artifacts
