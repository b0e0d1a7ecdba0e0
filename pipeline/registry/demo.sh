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

small=(-S fetch.sample_size=960 -S train.ensemble_with_baseline=false -S train.units=16 -S train.learning_rate=0.005)
weak=(-S baseline.max_ngram=1 -S baseline.min_df=500 -S baseline.char_min_df=600 -S train.max_ngram=1 -S train.char_ngrams=false)
better=(-S train.max_ngram=3 -S train.char_ngrams=true -S train.seed=2 -S train.epochs=8)
registry=(python -m pipeline.registry)

train weak "${small[@]}" "${weak[@]}" -S train.epochs=4
run "${registry[@]}" register weak
run "${registry[@]}" promote 1 --allow-sample

train better "${better[@]}"
run "${registry[@]}" register better
run "${registry[@]}" promote 2 --allow-sample

run "${registry[@]}" promote 1 --allow-sample && { echo "expected a refusal"; exit 1; }

run "${registry[@]}" rollback --reason "trying a rollback"
run "${registry[@]}" list
run "${registry[@]}" history
