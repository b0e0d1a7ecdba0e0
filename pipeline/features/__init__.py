"""How examples become arrays: tokenizer, n-grams, n-gram features, token vectors, batches."""
