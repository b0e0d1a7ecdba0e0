#!/usr/bin/env bash
# The registry on the sample corpus, in a temporary clone with an MLflow store of its own: nothing of yours is changed.
#
#     make demo
#
# Trains two models, and shows a registration, a promotion, a better version, a refusal, a rollback and the history.
# The baseline is weakened on purpose: the default model is no better than its baseline on the sample.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
git clone --quiet . "$folder/demo"
cd "$folder/demo"
unset MLFLOW_TRACKING_URI DVC_ROOT

run() {
  echo
  echo "\$ $*"
  "$@"
}

# Trains a DVC experiment and prints what its stages print, without DVC's own lines.
train() {
  echo
  echo "\$ dvc exp run -n $*"
  dvc exp run -n "$@" > log.txt 2>&1 || { cat log.txt; exit 1; }
  grep -E '^(split|train|evaluate|track): ' log.txt
}

small=(-S fetch.sample_size=480 -S train.ensemble_with_baseline=false -S train.bidirectional=false -S train.units=8)
small+=(-S train.learning_rate=0.01 -S train.batch_size=16)
weak=(-S baseline.max_ngram=1 -S baseline.min_df=250 -S baseline.char_min_df=300)
weak+=(-S train.max_ngram=1 -S train.char_ngrams=false -S train.epochs=2 -S train.seed=2)
better=(-S train.max_ngram=3 -S train.char_ngrams=true -S train.epochs=8 -S train.label_smoothing=0.0)
better+=(-S train.spatial_dropout=0.0 -S train.embedding_dropout=0.0 -S train.ngram_dropout=0.0 -S train.dropout=0.0)
registry=(python -m pipeline.registry)

train weak "${small[@]}" "${weak[@]}"
run "${registry[@]}" register weak
run "${registry[@]}" promote 1 --allow-sample

train better "${better[@]}"
run "${registry[@]}" register better
run "${registry[@]}" promote 2 --allow-sample

run "${registry[@]}" promote 1 --allow-sample && { echo "expected a refusal"; exit 1; }

run "${registry[@]}" rollback --reason "trying a rollback"
run "${registry[@]}" list
run "${registry[@]}" history
