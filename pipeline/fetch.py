"""Stage 1, fetch: read a source of labelled texts into one Parquet table and a manifest.

    python -m pipeline.fetch

`data/raw/examples.parquet` has the columns id (`train/java/7.txt`), text, label and split, ordered by id.
`data/raw/manifest.json` records the source, its licence, the counts, and the content digest: the sha256 over the sorted
lines `ID<TAB>SHA256-OF-THE-TEXT<LF>`. Order and digest do not depend on how an archive was packed.
"""

import hashlib
import json
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from pipeline import cli, params
from pipeline.cli import UserError
from pipeline.corpus import sources, tables, urls
from pipeline.corpus.download import download

OUT = Path("data/raw")


def main() -> None:
    config = params.load().fetch
    source = sources.resolve_source(config, cli.repository_root())
    OUT.parent.mkdir(exist_ok=True)
    # Everything is written beside the target and moved there when it is complete: a half table is never seen.
    with tempfile.TemporaryDirectory(dir=OUT.parent, prefix=".fetch-") as temporary:
        folder = Path(temporary, "raw")
        folder.mkdir()
        archive = cached_download(source, Path(temporary)) if source.kind == "url" else None
        if source.kind == "sample":
            examples = sources.read_sample(config)
        else:
            local = replace(source, kind="archive", location=archive) if archive else source
            examples = sources.read_examples(local)
        try:
            manifest = write_examples(source, examples, folder)
        except UserError:
            if archive:
                archive.unlink()  # the next call downloads it again: the server may have mended it by then
            raise
        shutil.rmtree(OUT, ignore_errors=True)
        folder.rename(OUT)
    counts = ", ".join(f"{sum(labels.values()):,} {split}" for split, labels in manifest["counts"].items())
    print(
        f"fetch: {manifest['examples']:,} examples of {len(manifest['labels'])} labels ({counts}) "
        f"from {manifest['source']}"
    )


def cached_download(source: sources.Source, temporary: Path) -> Path:
    """The archive of a URL, downloaded once and kept: DVC runs this stage again whenever its code changes, too."""
    name = hashlib.sha256(str(source.location).encode()).hexdigest()[:16]
    archive = cli.repository_root() / "data/downloads" / name
    if archive.exists():
        print(f"fetch: {source.name} was downloaded before, as {archive}")
        return archive
    print(f"fetch: downloading {source.name}")
    url = urls.expand_variables(str(source.location))
    download(url, temporary / "archive", source.name)
    archive.parent.mkdir(parents=True, exist_ok=True)
    return (temporary / "archive").rename(archive)


def write_examples(source: sources.Source, examples: Iterable[tuple[str, bytes]], folder: Path) -> dict:
    """Write the table and the manifest of `(id, content)` pairs into `folder`; returns the manifest.

    Raises UserError for a text that is not UTF-8, a duplicate id, fewer than two labels, labels that differ between
    train and test, or a digest other than the expected one.
    """
    counts: dict[str, Counter[str]] = {}
    sha256 = hashlib.sha256()

    def rows() -> Iterator[dict[str, str]]:
        for id, text in sorted_by_id(source, examples, folder.parent):
            split, label, _ = id.split("/")
            counts.setdefault(split, Counter())[label] += 1
            sha256.update(f"{id}\t{hashlib.sha256(text.encode()).hexdigest()}\n".encode())
            yield {"id": id, "text": text, "label": label, "split": split}

    tables.write_table(folder / "examples.parquet", tables.RAW_SCHEMA, rows())
    digest = sha256.hexdigest()
    labels = sorted(set().union(*counts.values()))
    if len(labels) < 2:
        raise UserError(f"{source.name} has only one label ({labels[0]}); a classifier needs two or more")
    for split, label_counts in counts.items():
        if missing := sorted(set(labels) - set(label_counts)):
            raise UserError(
                f"{source.name} has no {split} example with the label {missing[0]}; each split needs every label"
            )
    if source.digest not in (None, digest):
        raise UserError(
            f"{source.name} has the content digest {digest}, but fetch.digest expects {source.digest}; "
            "check the source, or set fetch.digest to null"
        )
    named_corpora = {corpus.digest: (name, corpus.licence) for name, corpus in sources.CORPORA.items()}
    corpus_name, licence = named_corpora.get(digest, (None, "unknown; see the source"))
    manifest = {
        "source": corpus_name or source.name,
        "sample": source.kind == "sample",
        "digest": digest,
        "licence": "that of this repository" if source.kind == "sample" else licence,
        "examples": sum(sum(label_counts.values()) for label_counts in counts.values()),
        "labels": labels,
        "counts": {
            split: dict(sorted(label_counts.items())) for split, label_counts in sorted(counts.items(), reverse=True)
        },
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    return manifest


def sorted_by_id(
    source: sources.Source, examples: Iterable[tuple[str, bytes]], folder: Path
) -> Iterator[tuple[str, str]]:
    """Yield `(id, text)` in the order of the ids. They are sorted on disk, so memory does not grow with the corpus."""
    # isolation_level=None: a file that ends with this process needs no journal
    database = sqlite3.connect(folder / "order.db", isolation_level=None)
    database.executescript("pragma journal_mode = off; pragma synchronous = off; begin;")
    database.execute("create table example (id text primary key, text text) without rowid")
    for id, content in tqdm(examples, desc="  read", unit=" examples", disable=None):
        try:
            database.execute("insert into example values (?, ?)", (id, content.decode("utf-8")))
        except UnicodeDecodeError as error:
            raise UserError(f"{source.name}: {id} is not UTF-8 text (byte {error.start}); convert it") from None
        except sqlite3.IntegrityError:
            raise UserError(f"{source.name} contains {id} twice; keep one of them") from None
        except sqlite3.OperationalError as error:
            raise UserError(
                f"the examples cannot be sorted in {folder.parent} ({error}); check that the disk has room"
            ) from None
    yield from database.execute("select id, text from example order by id")
    database.close()


if __name__ == "__main__":
    cli.run(main)
