"""Stage 1, fetch: a source of labelled posts becomes one Parquet table and a manifest.

    python -m pipeline.fetch

`data/raw/examples.parquet` has the columns id (`train/java/7.txt`), text, label and split, in the order of the ids, and
`data/raw/manifest.json` says where the posts are from, how many there are and what their content digest is: sha256
over the sorted lines `PATH<TAB>SHA256-OF-THE-POST<LF>`. Order and digest do not depend on how an archive was packed.
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
from pipeline.corpus import sources, tables
from pipeline.corpus.download import download

OUT = Path("data/raw")


def main() -> None:
    section = params.load().fetch
    source = sources.resolve_source(section, cli.repository_root())
    OUT.parent.mkdir(exist_ok=True)
    # All is made in a folder beside the target and moved there when it is whole: no half table is ever seen.
    with tempfile.TemporaryDirectory(dir=OUT.parent, prefix=".fetch-") as temporary:
        made = Path(temporary, "raw")
        made.mkdir()
        if source.kind == "sample":
            posts = sources.read_sample(section)
        elif source.kind == "url":
            archive = downloaded(source, Path(temporary))
            posts = sources.read_examples(replace(source, kind="archive", where=archive))
        else:
            posts = sources.read_examples(source)
        try:
            manifest = collect(source, posts, made)
        except UserError:
            if source.kind == "url":
                archive.unlink()  # asked again next time: it may be better by then
            raise
        shutil.rmtree(OUT, ignore_errors=True)
        made.rename(OUT)
    counts = ", ".join(f"{sum(labels.values()):,} {split}" for split, labels in manifest["counts"].items())
    print(
        f"fetch: {manifest['posts']:,} posts of {len(manifest['labels'])} labels ({counts}) from {manifest['source']}"
    )


def downloaded(source: sources.Source, temporary: Path) -> Path:
    """The archive behind a URL. It is asked once and kept: changed code, too, makes DVC run this stage again."""
    archive = cli.repository_root() / "data/downloads" / hashlib.sha256(str(source.where).encode()).hexdigest()[:16]
    if archive.exists():
        print(f"fetch: {source.name} was asked before, its answer is in {archive}")
        return archive
    print(f"fetch: asking {source.name}")
    download(str(source.where), temporary / "archive")
    archive.parent.mkdir(parents=True, exist_ok=True)
    return (temporary / "archive").rename(archive)


def collect(source: sources.Source, posts: Iterable[tuple[str, bytes]], folder: Path) -> dict:
    """Write the table and the manifest into `folder`; gives the manifest.

    Raises Stop for text that is not UTF-8, a path met twice, fewer than two labels, labels that differ between
    train and test, or a digest other than the one asked for.
    """
    counts: dict[str, Counter[str]] = {}
    digest = hashlib.sha256()

    def rows() -> Iterator[dict[str, str]]:
        for path, text in in_order(source, posts, folder.parent):
            split, label, _ = path.split("/")
            counts.setdefault(split, Counter())[label] += 1
            digest.update(f"{path}\t{hashlib.sha256(text.encode()).hexdigest()}\n".encode())
            yield {"id": path, "text": text, "label": label, "split": split}

    tables.write_table(folder / "examples.parquet", tables.RAW_SCHEMA, rows())
    labels = sorted(set().union(*counts.values()))
    if len(labels) < 2:
        raise UserError(f"{source.name} has one label only ({labels[0]}); a classifier needs two or more")
    for split, found in counts.items():
        if missing := sorted(set(labels) - set(found)):
            raise UserError(f"{source.name} has no {split} post labelled {missing[0]}; both splits need every label")
    if source.digest not in (None, digest.hexdigest()):
        raise UserError(
            f"{source.name} has the content digest {digest.hexdigest()}, but {source.digest} was expected: "
            "the corpus is not the one you think, or fetch.digest is wrong"
        )
    known = {corpus.digest: (name, corpus.licence) for name, corpus in sources.CORPORA.items()}
    known_name, licence = known.get(digest.hexdigest(), (None, "unknown; see the source"))
    manifest = {
        "source": known_name or source.name,
        "sample": source.kind == "sample",
        "digest": digest.hexdigest(),
        "licence": "this repository's own" if source.kind == "sample" else licence,
        "posts": sum(sum(found.values()) for found in counts.values()),
        "labels": labels,
        "counts": {split: dict(sorted(found.items())) for split, found in sorted(counts.items(), reverse=True)},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    return manifest


def in_order(source: sources.Source, posts: Iterable[tuple[str, bytes]], folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the posts in the order of their paths, by way of the disk: memory does not grow with the corpus."""
    # isolation_level=None: no journal is needed for a file that does not outlive this process
    store = sqlite3.connect(folder / "order.db", isolation_level=None)
    store.executescript("pragma journal_mode = off; pragma synchronous = off; begin;")
    store.execute("create table post (path text primary key, text text) without rowid")
    # disable=None: no bar where there is no terminal
    for path, content in tqdm(posts, desc="  read", unit=" posts", disable=None):
        try:
            store.execute("insert into post values (?, ?)", (path, content.decode("utf-8")))
        except UnicodeDecodeError as error:
            raise UserError(f"{source.name}: {path} is not UTF-8 text (byte {error.start}); convert it") from None
        except sqlite3.IntegrityError:
            raise UserError(f"{source.name} holds {path} twice; keep one of them") from None
        except sqlite3.OperationalError as error:
            raise UserError(f"the posts could not be sorted in {folder.parent} ({error}); is the disk full?") from None
    yield from store.execute("select path, text from post order by path")
    store.close()


if __name__ == "__main__":
    cli.run(main)
