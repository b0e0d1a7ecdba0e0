"""The pipeline's stages and commands; each runs as `python -m pipeline.<name>`."""
