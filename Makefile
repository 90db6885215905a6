# Every target sets up what it needs by itself: Python 3.11 and make are enough. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help setup setup-bench demo test test-all check format docs bench-train bench-methods bench-gpu bench-prepare bench-score bench-generate bench-trec6 bench-near-duplicates bench-check bench-advice bench-estimate bench-review bench-preference bench-remedies bench-sick lock

# `make PYTHON=/path/to/python3.12 test` chooses another Python, `make test ARGS="-k mask"` hands words on.
PYTHON ?=
ARGS ?=
RUN := .venv/bin/python
# The tests of a file stay together, because they share what was made once; each takes one core.
TWO_AT_ONCE := --numprocesses 2 --dist loadfile

define SET_UP
@chosen=; for python in $(or $(PYTHON),python3.11 python3.12 python3.13 python3); do \
  if "$$python" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; \
  then chosen=$$python; break; fi; done; \
if [ -z "$$chosen" ]; then \
  echo "luthier needs Python 3.11, 3.12 or 3.13 with venv and ensurepip; tried: $(or $(PYTHON),python3.11 python3.12 python3.13 python3)" >&2; \
  echo "  install one (Debian, Ubuntu: apt-get install python3.11-venv) or name one: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; \
  exit 2; fi; \
"$$chosen" scripts/set_up.py $(if $(PYTHON),--this-python) $(1)
endef

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/make \1|\2/p' Makefile | while IFS='|' read -r target what; do printf '%-20s%s\n' "$$target" "$$what"; done

setup: ## the virtual environment and everything in it; every other target does this first
	$(call SET_UP,)

setup-bench:
	$(call SET_UP,--bench)

demo: setup ## the main job: data, base, training, tuned, targets (about 4 minutes)
	.venv/bin/luthier demo $(ARGS)

test: setup ## the quick tests (at most 12 minutes)
	$(RUN) -m pytest -m "not long" $(TWO_AT_ONCE) $(ARGS)

test-all: setup ## every test, the long ones too (at most 60 minutes)
	$(RUN) -m pytest $(TWO_AT_ONCE) $(ARGS)

check: setup ## style, types, import directions (at most 2 minutes)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(RUN) -m pytest -q tests/test_import_directions.py

format: setup ## mend what ruff can mend
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

docs: setup ## the documentation into site/index.html
	$(RUN) scripts/write_reference.py
	$(RUN) -m zensical build --clean --strict
	@echo "open site/index.html"

bench-train: setup-bench ## training speed, loss and memory beside TRL (1 to 3 hours; goes on where it was stopped)
	$(RUN) -m benchmarks.train $(ARGS)

bench-methods: setup-bench ## the five methods on TREC-6 beside PEFT's (about 3 hours; goes on where it was stopped)
	$(RUN) -m benchmarks.methods $(ARGS)

bench-gpu: setup-bench ## training of an 8B shape on a GPU beside TRL (about 20 minutes on an H200)
	$(RUN) -m benchmarks.gpu $(ARGS)

# The lock names no machine and no index; torch and pip stay out of it (see requirements-torch.txt), and so does what has
# no wheel, because setting up builds nothing: lm-eval imports its two only for tasks that are not asked for here.
COMPILE := $(RUN) -m piptools compile --quiet --generate-hashes --no-emit-options --no-emit-index-url --no-emit-find-links \
  --no-emit-trusted-host --strip-extras --unsafe-package torch --unsafe-package pip --constraint requirements-torch.txt
WHEELS := --pip-args=--only-binary=:all:
BENCH_WHEELS := --pip-args="--only-binary=:all: --no-binary=sqlitedict,word2number" --unsafe-package sqlitedict \
  --unsafe-package word2number

bench-prepare: setup-bench ## preparation of rows beside TRL: speed and memory (about 20 minutes)
	$(RUN) -m benchmarks.prepare $(ARGS)

bench-score: setup-bench ## scoring of labels beside lm-eval (about 30 minutes; goes on where it was stopped)
	$(RUN) -m benchmarks.score_labels $(ARGS)

bench-generate: setup-bench ## answers on the CPU beside transformers' own generation (1 to 2 hours; goes on where it was stopped)
	$(RUN) -m benchmarks.generate $(ARGS)

bench-trec6: setup ## the README's run on TREC-6, trained and evaluated (about 15 minutes; goes on where it was stopped)
	$(RUN) -m benchmarks.trec6.tour $(ARGS)

bench-near-duplicates: setup-bench ## near-duplicates beside datasketch (2 minutes)
	$(RUN) -m benchmarks.near_duplicates $(ARGS)

bench-check: setup-bench ## the check of a million chat rows: speed and memory (about 10 minutes)
	$(RUN) -m benchmarks.check_rows $(ARGS)

bench-advice: setup ## the advised method against the best of five on six tasks (about 3 hours; goes on where it was stopped)
	$(RUN) -m benchmarks.six_tasks $(ARGS)

bench-estimate: setup ## estimated memory and seconds beside real processes and runs (about 40 minutes; goes on where it was stopped)
	$(RUN) -m benchmarks.estimate $(ARGS)
	$(RUN) -m benchmarks.estimate_seconds $(ARGS)

bench-review: setup ## the review's page with 5,000 items and 20 raters who vote at once (about 3 minutes)
	$(RUN) -m benchmarks.review $(ARGS)

bench-preference: setup-bench ## preference tuning beside TRL's DPOTrainer (about 1 hour; goes on where it was stopped)
	$(RUN) -m benchmarks.preference $(ARGS)

bench-remedies: setup ## eight sick runs, remedied and measured again (about 2 hours; goes on where it was stopped)
	$(RUN) -m benchmarks.remedies $(ARGS)

bench-sick: setup ## the battery of sick runs, and what diagnosis says of them (about an hour; goes on where it was stopped)
	$(RUN) -m benchmarks.sick_runs build $(ARGS)
	$(RUN) -m benchmarks.sick_runs table build

lock: setup ## resolve the dependencies anew into requirements*.lock (add ARGS=--upgrade to move them)
	CUSTOM_COMPILE_COMMAND="make lock" $(COMPILE) $(WHEELS) $(ARGS) --extra dev --output-file requirements.lock pyproject.toml
	CUSTOM_COMPILE_COMMAND="make lock" $(COMPILE) $(BENCH_WHEELS) $(ARGS) --constraint requirements.lock --output-file requirements-bench.lock requirements-bench.in
