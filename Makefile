# Every target does its own set-up; see README.md.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -eu -o pipefail -c
.PHONY: build setup test clean

build:
	@dotnet build Relay.sln --nologo -v q -clp:NoSummary

setup:
	@bash tests/setup.sh

test: setup build
	@bash tests/run.sh

clean:
	@rm -rf .artifacts
