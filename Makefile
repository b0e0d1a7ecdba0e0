# The tasks of this project, for people and for CI alike. Each sets up what it needs.

export PATH := $(CURDIR)/.venv/bin:$(PATH)
PYTHON ?= python3

.PHONY: repro test lint ui promote tutorial cells benchmark lock setup help

help:            ## say what there is
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' Makefile

repro: setup     ## run the pipeline, from posts to a tracked run
	@dvc repro
	@python -m pipeline.report.summary

test: setup      ## run the tests
	@python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

lint: setup      ## check style and types
	@ruff check . && ruff format --check . && mypy

ui: setup        ## look at the runs in MLflow, on http://127.0.0.1:5000
	@python -m pipeline.tracking ui

promote: setup   ## register the result in the workspace, and make it the champion if it passes the gate
	@python -m pipeline.registry register
	@python -m pipeline.registry promote

setup: .venv/installed

# The stamp is written last: an installation that was broken off is taken up again.
.venv/installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo 'Python 3.11, 3.12 or 3.13 is needed; name one: make PYTHON=python3.12 …'; exit 1; }
	@echo 'Setting up .venv from requirements.txt: some minutes, once.'
	@$(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
	@touch $@

# Experiments run in a copy of the repository: the working folder keeps its parameters and its model. What is kept of
# them is found with `dvc exp list`, and in MLflow. SOURCE: sample, stack_overflow_16k, or a path of the archive.
SOURCE ?= stack_overflow_16k
experiment = dvc exp remove --quiet $(1) 2> /dev/null; dvc exp run --temp -n $(1) -S fetch.source=$(SOURCE)
# The recurrent network by itself, whatever params.yaml says: tokens are all it sees, and its answer is all that counts.
PLAIN = -S train.max_ngram=0 -S train.char_ngrams=false -S train.ensemble_with_baseline=false -S train.num_layers=1 \
  -S train.bidirectional=false -S train.pooling=last -S train.reset_after=true -S train.ema_momentum=0.0 \
  -S train.word_dropout=0.0 -S train.embedding_dropout=0.0 -S train.recurrent_dropout=0.0 -S train.label_smoothing=0.0 \
  -S train.temperature_scaling=false

# The GRU tutorial's network and training, without its mistake of training on the test split.
tutorial: setup  ## run the GRU tutorial's own recipe: make tutorial SOURCE=path/of/the/archive
	@$(call experiment,tutorial) \
	  -S vectorize.tokenizer=words -S vectorize.vocab_size=10000 -S vectorize.max_length=150 \
	  -S split.validation_size=0.15 -S split.seed=20 \
	  $(PLAIN) -S train.cell=gru -S train.embedding_dim=16 -S train.token_vectors=random -S train.units=32 -S train.mask=false \
	  -S train.spatial_dropout=0.0 -S train.dropout=0.3 -S train.seed=1 -S train.optimizer=rmsprop -S train.learning_rate=0.001 -S train.learning_rate_schedule=constant -S train.clip_norm=null \
	  -S train.batch_size=100 -S train.epochs=20 -S train.patience=null
	@python -m pipeline.report.summary tutorial

# Read one way, from the first token to the last, and judged by the last state: here a gradient has the longest way.
cells: setup     ## compare rnn, lstm and gru: make cells SOURCE=path/of/the/archive
	@for cell in rnn lstm gru; do \
	  $(call experiment,cell-$$cell) $(PLAIN) -S train.cell=$$cell -S train.mask=true -S train.epochs=10 \
	    -S train.patience=3 train || exit 1; \
	done
	@python -m pipeline.report.experiments cell-rnn cell-lstm cell-gru

benchmark: setup ## time training against PyTorch, on the posts that are in the workspace
	@python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	@python -m benchmarks.train_speed

lock: setup      ## write requirements.txt anew from pyproject.toml, for Linux and macOS, Python 3.11 to 3.13
	@uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --fork-strategy fewest \
	  --generate-hashes --no-annotate --no-emit-index-url --no-emit-find-links --no-header --quiet --upgrade -o requirements.txt
