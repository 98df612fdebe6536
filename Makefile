# The project's habits, one word each. Every word that needs something sets it up first.

.DEFAULT_GOAL := help
.PHONY: help setup demo test check soak lab bench lock clean

help:   ## say what each word does
	@sed -n 's/^\([a-z]*\): *[a-z]* *## /\1\t/p' Makefile | expand -t 10

setup:  ## install what is missing: Debian packages, uv, the locked Python parts
	@tools/setup

demo: setup  ## run the first user's overlay on this machine, measured
	@.venv/bin/malha lab demo

test: setup  ## every test: first those without root, then real WireGuard
	@tools/test

check: setup  ## lint, format, types and the tests without root: before each commit
	@tools/check

soak: setup  ## the random tests for long: MALHA_EFFORT times the examples, 20 unless said
	@MALHA_EFFORT=$${MALHA_EFFORT:-20} .venv/bin/pytest -q -n "$$(nproc)" tests/property tests/unit/changes

lab: setup  ## leave the example's lab running; `.venv/bin/malha lab down` ends it
	@.venv/bin/malha lab up --overlay examples/edgeproxy/overlay.yaml

bench: setup  ## measure the ratios of docs/benchmarks.md
	@.venv/bin/python benchmarks/run.py

lock: setup  ## choose the newest allowed versions anew and write requirements.lock
	@tools/lock

clean:  ## remove what setup and the tests left inside this folder
	@rm -rf .venv .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find src tests tools examples -name __pycache__ -type d -prune -exec rm -rf {} +
