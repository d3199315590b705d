# Everything a newcomer needs. `make demo` and `make test` install what they use; no compiler is needed.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check

.PHONY: demo develop test lint format bench conformance install lock wheels deb image clean help

help:            ## This list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

demo: $(VENV)/run.done  ## Install, compile what it needs once, and run the demo (a minute)
	$(BIN)/rt-engine demo

install: $(VENV)/run.done  ## Install into $(VENV)

develop: $(VENV)/test.done $(VENV)/lint.done  ## Install what tests and lint need too; run nothing

test: $(VENV)/test.done  ## Install and run the tests
	$(BIN)/rt-engine kernels  # so that no test compiles them within a time of its own
	$(BIN)/python -m pytest -n 2

lint: $(VENV)/lint.done  ## Formatting, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(VENV)/lint.done  ## Format in place
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/bench.done $(VENV)/torch.done  ## The whole zoo against every peer: ONNX Runtime, OpenVINO, MNN, tract (some minutes)
	$(BIN)/python -m benchmarks

conformance: $(VENV)/test.done  ## ONNX's backend suite: what we pass, what ONNX Runtime passes
	$(BIN)/python -m tests.conformance.count

wheels: $(VENV)/test.done  ## A wheel for each kind of machine in dist, with the native libraries of all its levels (needs ld: binutils)
	$(BIN)/python -m station.wheels

deb: $(VENV)/run.done  ## The Debian package in dist, of the newest wheel of make wheels that is there (needs dpkg-deb)
	$(BIN)/python packaging/deb.py

image:           ## The container image rt-engine, of WHEEL=dist/NAME.whl or of the sources (needs buildah, podman or docker)
	$(BUILDER) -t rt-engine $(FORMAT) $(if $(WHEEL),--build-arg WHEEL=$(WHEEL)) $(BUILD_OPTIONS) -f Containerfile .
BUILDER ?= $(firstword $(foreach tool,buildah podman docker,$(if $(shell command -v $(tool)),$(tool)))) build
# An image in OCI's own format has no health check.
FORMAT = $(if $(filter docker,$(notdir $(firstword $(BUILDER)))),,--format docker)

lock:            ## Renew requirements/*.txt from pyproject.toml (needs uv)
	uv pip compile pyproject.toml $(LOCK) -o requirements/run.txt
	for g in test lint bench; do uv pip compile pyproject.toml --group $$g -c requirements/run.txt $(LOCK) -o requirements/$$g.txt; done
LOCK := --extra kernels --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url --no-emit-find-links -q --upgrade

clean:           ## Remove the environment and what tools left
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; this is " + sys.version)'
	@echo "Making the virtual environment $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

$(VENV)/run.done: requirements/run.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing into $(VENV) ..."
	@$(PIP) install -r requirements/run.txt
	@$(PIP) install --quiet --no-deps -e .
	@touch $@
	@echo "Installed. To use the command rt-engine in this shell: . $(BIN)/activate"

# PyTorch makes the networks of the zoo. Not locked: on Linux its usual package brings gigabytes for graphics cards.
$(VENV)/torch.done: $(VENV)/run.done
	@echo "Installing PyTorch for the processor alone ..."
	@$(PIP) install --retries 1 --index-url https://download.pytorch.org/whl/cpu torch || $(PIP) install torch
	@$(PIP) install onnxscript
	@touch $@

$(VENV)/%.done: requirements/%.txt $(VENV)/run.done
	@echo "Installing requirements/$*.txt into $(VENV) ..."
	@$(PIP) install -r $<
	@touch $@
