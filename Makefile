# The two commands a newcomer needs are `make run` and `make test`; both set up .venv on first use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SPEC ?= char-rnn

.PHONY: help run test check format fuzz differential kill library oracles systems bench gallery \
  reproductions page test-page clean

help:
	@echo "make run     install, then train $(SPEC) (SPEC=... for another one)"
	@echo "make test    install with the test tools, then run the tests"
	@echo "make check   formatting, lints, types and tests: what CI asks for"
	@echo "make format  rewrite the code in the project's format"
	@echo "make fuzz    feed the parser thousands of damaged specs"
	@echo "make differential  compare 20,000 random programs with the reference"
	@echo "make kill    kill 50 training runs at random instants, and compare how they end"
	@echo "make library run every spec of the library to its end, and sweep its tests"
	@echo "make oracles compute with JAX what tests compare the specs with, and keep it"
	@echo "make systems test every spec, and write docs/systems.md from what came of it"
	@echo "make bench   time against PyTorch, JAX and NumPy (installs them)"
	@echo "make gallery draw the pictures of docs/gallery.md anew"
	@echo "make reproductions  measure all that docs/reproductions.md tells (an hour)"
	@echo "make page    build the script and the style of pages (needs npm)"
	@echo "make test-page   test pages in a headless Chromium"
	@echo "make clean   remove the virtual environment and caches"

run: $(VENV)/.installed
	$(BIN)/unfold run $(SPEC)

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -q -n 2

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/python -m pytest -q -n 2

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

fuzz: $(VENV)/.installed-dev
	$(BIN)/python -m tests.fuzz

differential: $(VENV)/.installed-dev
	$(BIN)/python -m tests.differential --count 20000 --backend interpreted --jobs 2

kill: $(VENV)/.installed-dev
	$(BIN)/python -m tests.kill --kills 50

library: $(VENV)/.installed-dev
	$(BIN)/python -m tests.library
	$(BIN)/python -m pytest -q -n 2 --slow tests/test_specs_oracle.py tests/test_specs_gradients.py \
	  tests/test_numba_specs.py tests/test_padding.py tests/test_drawing_*.py \
	  tests/test_explain_plan.py

oracles: $(VENV)/.installed-dev
	$(BIN)/python -m tests.oracles

systems: $(VENV)/.installed-dev
	$(BIN)/python docs/make_systems.py

bench: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	$(BIN)/python -m pytest -q --slow tests/test_bench.py tests/test_bench_models.py
	$(BIN)/python -m benchmarks.peers
	$(BIN)/python -m benchmarks.models

gallery: $(VENV)/.installed-dev
	$(BIN)/python docs/make_gallery.py

reproductions: $(VENV)/.installed-dev
	$(BIN)/python -m examples.reproductions

page:
	npm --prefix unfold/page/browser ci --no-audit --no-fund
	npm --prefix unfold/page/browser run build

test-page: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --editable '.[page]'
	$(BIN)/python -m pytest -q tests/test_page*.py tests/test_report_command.py

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis build dist

# The stamps make the second call quick; they go stale when the dependencies may have changed.
$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.installed

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "unfold needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "could not make a virtual environment (Debian: apt install python3-venv)"; exit 1; }
