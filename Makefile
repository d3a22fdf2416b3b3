# `make demo` and `make test` work on a fresh machine: both create .venv once and reuse it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test test-slow check format docs bench bench-score bench-judge bench-similarity \
	bench-train bench-evaluate clean

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@

demo: $(STAMP)
	$(BIN)/margintool demo --out demo

# Whole files, so that what a file's tests share is made once, in their order: by default the
# files of the fewest tests come last, and some of them take minutes on one worker.
test: $(STAMP)
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP)
	$(BIN)/python docs/generate.py

# One after another, since they share the machine; each alone by its own target.
bench:
	$(MAKE) bench-score
	$(MAKE) bench-judge
	$(MAKE) bench-similarity
	$(MAKE) bench-train
	$(MAKE) bench-evaluate

bench-score bench-judge bench-similarity bench-train bench-evaluate: bench-%: $(STAMP)
	$(BIN)/python benchmarks/$*.py

clean:
	rm -rf $(VENV) build dist *.egg-info
