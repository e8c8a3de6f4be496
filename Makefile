# One environment, exact versions, torch first and alone. Behind every target stands one command.
# TORCH_ARGS chooses another build of torch, for instance:
#   make demo TORCH_ARGS="--index-url https://download.pytorch.org/whl/cpu"
PYTHON ?= python3
TORCH_ARGS ?=
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready
RUNS ?= runs

.PHONY: demo test all-tests check fix bench docs clean

$(READY): requirements/lock.txt requirements/torch.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "auscult needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check $(TORCH_ARGS) -r requirements/torch.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -r requirements/lock.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $(READY)

demo: $(READY)
	$(BIN)/auscult run examples/demo.toml --out $(RUNS)/demo

test: $(READY)
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not slow and not weights and not gpu"

all-tests: $(READY)
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not weights and not gpu"

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell src tests docs recipes examples benchmarks *.md
	$(BIN)/python benchmarks/sizes.py

fix: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)
	$(BIN)/python benchmarks/all.py

docs: $(READY)
	$(BIN)/python -m mkdocs build --strict

clean:
	rm -rf $(VENV) site build .pytest_cache .mypy_cache .ruff_cache
