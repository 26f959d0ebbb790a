# make course   set the course up and open it in JupyterLab (LEAN=1: without the real servers; PYTHON=…: with this Python)
# make test     install what the tests need and run them all
# The rest is for those who work on the course: CONTRIBUTING.md.

ANY_PYTHON := $(shell command -v python3 || command -v python || command -v $(or $(PYTHON),python3.13) || command -v python3.12 || command -v python3.11)
SETUP = $(or $(ANY_PYTHON),$(error No Python was found: install Python 3.11, 3.12 or 3.13, or name one: make course PYTHON=/path/to/python)) scripts/setup.py
BIN = .venv/bin
export PYTHON LEAN UPGRADE

.PHONY: course course-lean install test release lock format bench clean

course:
	@$(SETUP) course

course-lean:
	@$(SETUP) course --lean

install:
	@$(SETUP) install

test:
	@$(SETUP) dev
	@$(SETUP) system
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2

release:
	@$(SETUP) dev
	$(BIN)/course release

lock:
	@$(SETUP) dev
	$(BIN)/python scripts/lock.py

format:
	@$(SETUP) dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python -m coursework.normalise

bench:
	@$(SETUP) dev
	@$(SETUP) system
	@for file in benchmarks/*.py; do echo "$$file" && $(BIN)/python "$$file" || exit 1; done

# Never work/, which is a learner's own.
clean:
	rm -rf .venv .course .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find src tests scripts benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
