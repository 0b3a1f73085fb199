# Every target does its own set-up; see README.md.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -eu -o pipefail -c
.PHONY: build setup run demo test bench clean
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

clean:
	@rm -rf .artifacts
