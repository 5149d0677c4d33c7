# Every target sets up .venv first; it is rebuilt only when its inputs change.
# Needs Python 3.11+ with venv, and a C compiler.
.DEFAULT_GOAL := help
SHELL := /bin/sh

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
WORKERS ?= 2

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("tilecast needs Python 3.11 or newer, found %d.%d" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,demo]'
	@touch $@

build/typing/tilecast:
	@mkdir -p build/typing
	@ln -sfn ../.. $@

.PHONY: help setup demo test test-slow lint format docs bench peers clean distclean

help: ## list the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## create .venv with everything that the other targets need

demo: $(READY) ## compile MiniLM, verify it, save it to build/minilm, compare speed with PyTorch
	$(RUN) -m examples.demo_minilm

test: $(READY) ## run the tests (under ten minutes on two cores)
	$(RUN) -m pytest -m "not slow" -n $(WORKERS) --dist worksteal -q

test-slow: $(READY) ## run the long tests too: exhaustive numerics, large models
	$(RUN) -m pytest -m slow -n $(WORKERS) --dist worksteal -q

lint: $(READY) build/typing/tilecast ## check format, lint rules and types
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(RUN) -m mypy

format: $(READY) ## format the sources and apply safe fixes
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

docs: $(READY) build/typing/tilecast ## build the documentation into build/site
	$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,demo,docs]'
	$(RUN) -m mkdocs build

peers: $(READY) ## install the engines that benchmarks compare with (ONNX Runtime, OpenVINO)
	$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,demo,peers]'

bench: $(READY) ## compare with the peers on MiniLM; writes build/bench.json
	$(RUN) -m benchmarks.compare --model minilm --output build/bench.json

clean: ## remove build products and tool caches
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean ## also remove the environment
	rm -rf $(VENV)
