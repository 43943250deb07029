# Everything starts here: `make repro` for the pipeline on the demo data, `make test` for the checks.
PYTHON ?= python3.11
VENV := .venv
# Stages run `python`; inside make that is the environment's own.
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: repro measured tissue published transfer check study test lint quick coverage deps bench format help

help:
	@echo "make repro    set up $(VENV) and run the pipeline on data_root (the demo data), or on a folder: make repro DATA=/path"
	@echo "make check    report all that is wrong with the images of data_root, or of a folder: make check DATA=/path PAGE=data.html"
	@echo "make study    set up $(VENV) and run every split with several seeds; options: make study STUDY='--seeds 5'"
	@echo "make test     set up $(VENV) and run all checks: lint, then every test"
	@echo "make lint     ruff and mypy alone"
	@echo "make quick    the tests without the slow ones, in about a minute and a half on two cores"
	@echo "make coverage every test, and which lines none of them runs"
	@echo "make deps     write the imports of every stage into dvc.yaml"
	@echo "make bench    set up $(VENV) and measure speed and memory, which takes half an hour; see bench/README.md"
	@echo "make format   lay the code out as the checks want it"

repro: $(VENV)/installed
	@python -m tools.workspace $(if $(DATA),"$(DATA)")
	dvc repro check_settings
	dvc repro ingest
	@$(MAKE) --no-print-directory --jobs 2 published transfer
	dvc repro
	@echo
	@echo "What came out: reports/report.html, and the numbers in metrics/"
	@echo "To go on:      . $(VENV)/bin/activate && dvc exp run -S split=10"

# Parts of `make repro`: DVC runs one stage at a time, make as many of these as wait for none of the others. Each stage is
# named, as DVC also reserves the outputs of those that it would only look at.
STAGES := dvc --wait-for-lock repro --single-item

measured: $(VENV)/installed
	$(STAGES) measure

tissue: $(VENV)/installed
	$(STAGES) prepare_masks augment train_prcc train_cam16

published: measured tissue
	$(STAGES) train_wbc train_control train_wbc_plus

transfer: measured
	$(STAGES) pretrain finetune probe

check: $(VENV)/installed
	@leuko check $(if $(DATA),"$(DATA)") $(if $(PAGE),--page "$(PAGE)")

study: $(VENV)/installed
	leuko study $(STUDY)

# On all cores; a file's tests stay in one process, as they share what is costly to make.
PYTEST := pytest -n auto --dist loadfile --no-loadscope-reorder

test: lint
	$(PYTEST)

lint: $(VENV)/installed
	ruff check .
	ruff format --check .
	mypy

quick: $(VENV)/installed
	$(PYTEST) -m "not slow"

coverage: $(VENV)/installed
	$(PYTEST) --cov --cov-report=term-missing:skip-covered

bench: $(VENV)/installed
	python -m bench

format: $(VENV)/installed
	ruff check --fix .
	ruff format .

$(VENV)/installed: requirements.txt pyproject.toml .dvc/plots/offline.py .dvc/plots/page.html
	command -v $(PYTHON) >/dev/null || { echo "This project wants $(PYTHON); set PYTHON to another one of 3.11 or newer."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(VENV)/bin/python .dvc/plots/offline.py
	@touch $@

deps: $(VENV)/installed
	python -m tools.dependencies

# Written from the code; a test compares.
docs/descriptors.md: $(VENV)/installed leuko/morphology/descriptors.py tools/descriptors.py
	python -m tools.descriptors
