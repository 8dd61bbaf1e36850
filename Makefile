# The two commands of the README: `make sample` and `make test`. Everything goes into .venv; nothing global.
PYTHON ?= python3
# Installs several times faster than pip, where it is there. `make UV= sample` uses pip.
UV ?= uv
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TRAIN_VENV := .venv-train
TRAIN_STAMP := $(TRAIN_VENV)/.installed
BROWSER_STAMP := $(VENV)/.browser
SLURM_DEBIAN := slurmctld slurmd slurm-client munge
BROWSER_DEBIAN := chromium fonts-dejavu-core libatomic1

.PHONY: sample test test-slow test-fast test-random test-cloud test-engines test-train test-browser check format docs golden lmplz sample-models clean

sample: $(STAMP)  ## Sets everything up and runs the main job on the sample, into ./out
	$(BIN)/python -m pipeline.run

test: $(STAMP)  ## Sets everything up and passes the tests, all but the slow ones
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not slow and not cloud and not engines"

test-slow: $(STAMP)  ## The slow tests: whole runs of the sample, kills, signals, the blocks of the documents
	$(BIN)/python -m pytest -n auto --dist loadfile -m "slow and not cloud and not engines"

test-fast: test  ## The earlier name of `make test`

test-random: $(STAMP)  ## The tests of laws with newly drawn examples; all other targets draw the same ones every time
	$(BIN)/python -m pytest -n auto --dist loadfile -m "hypothesis and not cloud and not engines" --hypothesis-profile=random tests

test-cloud: $(STAMP)  ## Rehearses the cloud and several hosts on loopback (six minutes)
	$(BIN)/python -m pytest -n auto --dist loadfile -m cloud tests/cloud

test-engines: $(STAMP)  ## Runs the sample on real engines: Spark, Flink, Slurm and Prism, with lost workers; installs Debian's Slurm where that may be done
	@if command -v slurmctld >/dev/null || [ -x /usr/sbin/slurmctld ]; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(SLURM_DEBIAN) >/dev/null; \
	else echo "without Slurm: apt-get install --no-install-recommends $(SLURM_DEBIAN)" >&2; fi
	$(BIN)/python tests/engines/java_engines.py "$${ENGINES_CACHE:-.cache/engines}"
	timeout --kill-after=60 3000 $(BIN)/python -m pytest -n 2 --dist loadscope -m engines tests/engines

test-train: $(TRAIN_STAMP)  ## The trainer's side with PyTorch, in a .venv-train of its own (torch is large)
	$(TRAIN_VENV)/bin/python -m pytest -m train tests/mixtures tests/tokenizer mixtures

test-browser: $(BROWSER_STAMP)  ## The report in a real browser; installs Debian's Chromium where that may be done (a minute)
	@if [ -n "$$CHROMIUM" ] || command -v chromium >/dev/null || command -v chromium-browser >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(BROWSER_DEBIAN) >/dev/null; \
	else echo "Chromium is needed: apt-get install --no-install-recommends $(BROWSER_DEBIAN), or name it: CHROMIUM=/path/to/chrome make test-browser" >&2; exit 2; fi
	NEED_BROWSER=1 $(BIN)/python -m pytest -q tests/report/test_report_browser.py

check: $(STAMP)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)  ## ruff's formatting and its safe fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(STAMP)  ## Writes the tables of the documents that repeat the code
	$(BIN)/python -m docs.make_tables

golden: $(STAMP)  ## Writes the golden files: the graph's outline, the order and defaults of all settings
	$(BIN)/python -m tests.make_graph
	$(BIN)/python -m tests.make_settings
	$(BIN)/python -m tests.make_beam_flags
	$(BIN)/python -m tests.make_schema

lmplz: $(STAMP)  ## Builds KenLM's lmplz and build_binary into .venv/bin (a C++ compiler; under two minutes)
	$(BIN)/python samples/build_lmplz.py $(BIN)

sample-models: lmplz  ## Trains the sample's small models again
	$(BIN)/python samples/train_models.py

$(STAMP): setup.py pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.11 ..." >&2; exit 2; }
	@if command -v $(UV) >/dev/null 2>&1; then \
	  $(UV) venv --quiet --allow-existing --seed --python $(PYTHON) $(VENV) && \
	  $(UV) pip install --quiet --python $(BIN)/python --editable '.[dev]'; \
	else \
	  $(PYTHON) -m venv $(VENV) && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'; \
	fi
	@touch $(STAMP)

$(BROWSER_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,browser]'
	@touch $(BROWSER_STAMP)

$(TRAIN_STAMP): setup.py pyproject.toml
	$(PYTHON) -m venv $(TRAIN_VENV)
	$(TRAIN_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(TRAIN_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,train,train-peers]'
	$(TRAIN_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps mosaicml-streaming==0.13.0
	@touch $(TRAIN_STAMP)

clean:
	rm -rf $(VENV) $(TRAIN_VENV) out build dist *.egg-info
