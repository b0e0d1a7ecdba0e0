# The tasks of this project, for people and CI alike. Each one sets up what it needs.

export PATH := $(CURDIR)/.venv/bin:$(PATH)
PYTHON ?= python3

.PHONY: repro data test check lint ui promote serve demo experiments tutorial cells corpora benchmark docs links lock setup help

help:            ## list the tasks
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' Makefile

repro: setup     ## run the pipeline: from labelled texts to a tracked MLflow run
	@python -m pipeline.tracking.lock_file
	@dvc repro
	@python -m pipeline.report.summary

data: setup      ## inspect labelled texts: make data SOURCE=texts.csv; with WRITE=1, params.yaml then reads them
	$(if $(filter file,$(origin SOURCE)),$(error name the texts: make data SOURCE=path/to/texts.csv))
	@python -m pipeline.inspect '$(SOURCE)' $(if $(WRITE),--write)

test: setup      ## run all tests
	@echo "Runs all tests on $$(getconf _NPROCESSORS_ONLN) cores: 10 to 20 minutes on two, by their speed. \`make check\` leaves out the slow ones."
	@python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

check: lint      ## check style and types, and run the fast tests (3 to 5 minutes)
	@python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder -m "not slow and not server and not browser"

lint: setup      ## check style and types
	@ruff check . && ruff format --check . && mypy

ui: setup        ## open the MLflow UI on a free port of 127.0.0.1
	@python -m pipeline.tracking ui

promote: setup   ## register the workspace's result, and make it the champion if it passes the gate
	@python -m pipeline.registry register
	@python -m pipeline.registry promote

serve: setup     ## serve the champion over HTTP on 127.0.0.1:8000, with a page to try it
	@python -m pipeline.serve

setup: .venv/installed

# The stamp is written last: an interrupted installation starts again.
.venv/installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo 'Python 3.11, 3.12 or 3.13 is needed; name one: make PYTHON=python3.12 …'; exit 1; }
	@echo 'Installing the locked dependencies into .venv: about two minutes, once.'
	@$(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
	@touch $@

# DVC experiments run in a temporary copy of the repository: params.yaml and models/ of the workspace stay as they are.
# `dvc exp list` and MLflow show them. SOURCE: sample, stack_overflow_16k, or the path of an archive.
SOURCE ?= stack_overflow_16k
experiment = dvc exp remove --quiet $(1) 2> /dev/null; dvc exp run --temp -n $(1) -S fetch.source=$(SOURCE)
# The recurrent network alone: no n-gram features, no ensemble, no regularization but what the experiment sets.
PLAIN = -S train.max_ngram=0 -S train.char_ngrams=false -S train.ensemble_with_baseline=false -S train.num_layers=1 \
  -S train.bidirectional=false -S train.pooling=last -S train.reset_after=true -S train.ema_momentum=0.0 \
  -S train.word_dropout=0.0 -S train.embedding_dropout=0.0 -S train.recurrent_dropout=0.0 -S train.label_smoothing=0.0 \
  -S train.class_weight=none -S train.temperature_scaling=false

demo: setup      ## try the registry on the sample: register, refuse, promote, roll back (about two minutes)
	@bash pipeline/registry/demo.sh

experiments: setup ## compare the DVC experiments: test metrics and the parameters that differ
	@dvc exp show --only-changed --md --no-pager --drop 'State|Created|Executor|(network|baseline|validation|network_validation|uncalibrated|mcnemar|confidence_intervals)\..*|.*\.ece|macro_f1_difference_interval|examples|temperature|parameters|best_epoch|ngrams|(data|models|pipeline|reports)(/.*)?'

# The network and training of the GRU tutorial, without its error of training on the test split.
tutorial: setup  ## train the GRU tutorial's recipe: make tutorial SOURCE=path/to/the/archive
	@$(call experiment,tutorial) \
	  -S vectorize.tokenizer=words -S vectorize.vocab_size=10000 -S vectorize.max_length=150 \
	  -S split.validation_size=0.15 -S split.seed=20 \
	  $(PLAIN) -S train.cell=gru -S train.embedding_dim=16 -S train.token_vectors=random -S train.units=32 -S train.mask=false \
	  -S train.spatial_dropout=0.0 -S train.dropout=0.3 -S train.seed=1 -S train.optimizer=rmsprop -S train.learning_rate=0.001 \
	  -S train.learning_rate_schedule=constant -S train.clip_norm=null \
	  -S train.batch_size=100 -S train.epochs=20 -S train.patience=null
	@python -m pipeline.report.summary tutorial

# One direction, classified by the last state: here the gradient has the longest way to go.
cells: setup     ## compare rnn, lstm and gru: make cells SOURCE=path/to/the/archive
	@for cell in rnn lstm gru; do \
	  $(call experiment,cell-$$cell) $(PLAIN) -S train.cell=$$cell -S train.mask=true -S train.epochs=10 \
	    -S train.patience=3 train || exit 1; \
	done
	@python -m pipeline.experiments cell-rnn cell-lstm cell-gru

corpora: setup   ## evaluate the defaults on several corpora: CORPORA=path/to/their/folder make corpora
	@python -m benchmarks.corpora

# PyTorch goes into an environment of its own, which sees the packages of .venv: that one holds what the lock names alone.
benchmark: setup .venv-benchmark/installed ## time training against PyTorch, on the texts in the workspace
	@.venv-benchmark/bin/python -m benchmarks.train_speed

.venv-benchmark/installed: .venv/installed benchmarks/requirements.txt
	@.venv/bin/python -m venv .venv-benchmark
	@for python in .venv .venv-benchmark; do $$python/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; done | \
	  { read -r locked; read -r own; echo "$$locked" > "$$own/locked.pth"; }
	@.venv-benchmark/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	@touch $@

docs: setup      ## build the documentation into docs/_build/html; warnings, such as broken links, are errors
	@sphinx-build -q -W --keep-going -n -b html docs docs/_build/html
	@echo "Built docs/_build/html/index.html"

links: setup     ## check the external links of the documentation (needs a network)
	@sphinx-build -q -b linkcheck docs docs/_build/links

compile = uv pip compile --universal --python-version 3.11 --fork-strategy fewest --generate-hashes --no-annotate \
  --no-emit-index-url --no-emit-find-links --no-header --quiet

lock: setup      ## write the locked requirements anew, for Linux and macOS, Python 3.11 to 3.13
	@$(compile) pyproject.toml --extra dev --upgrade -o requirements.txt
	@$(compile) requirements-serve.in --constraint requirements.txt -o requirements-serve.txt
