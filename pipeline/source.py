"""Stage 0, source: write a fingerprint of the source, so that DVC notices when a local one has changed.

    python -m pipeline.source

DVC cannot watch `fetch.source` itself: it may be a name, a URL, or a path outside the repository. So this stage runs at
every `dvc repro` and writes a fingerprint; `fetch` runs again when the fingerprint differs.
"""

from pathlib import Path

from pipeline import cli, params
from pipeline.corpus import sources
from pipeline.files import write_json

OUT = Path("data/source.json")


def main() -> None:
    source = sources.resolve_source(params.load().fetch, cli.repository_root())
    fingerprint = sources.source_fingerprint(source)
    write_json(OUT, fingerprint)
    print(f"source: {source.name} ({source.kind})")


if __name__ == "__main__":
    cli.run(main)
