"""Stage 1, fetch: read a source of labelled texts into one Parquet table and a manifest.

    python -m pipeline.fetch

`data/raw/examples.parquet` has the columns id, text, label and split, ordered by id. The id of a text in a folder is
`train/java/7.txt`, that of a table's row its line. `data/raw/rejects.parquet` has the rows of tables that cannot be
used, each with the reason. `data/raw/manifest.json` records the source, its licence, the counts, and the content
digest: the sha256 over the sorted lines `ID<TAB>SHA256-OF-THE-TEXT<LF>`, of tables `ID<TAB>SPLIT<TAB>LABEL<TAB>SHA256`.
Order and digest do not depend on how an archive was packed.
"""

import hashlib
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from tqdm import tqdm

from pipeline import cli, params
from pipeline.cli import UserError
from pipeline.corpus import sources, tables, urls
from pipeline.corpus.download import download
from pipeline.corpus.rows import (
    REASONS,
    Example,
    RejectedRow,
    choose_columns,
    describe_rejects,
    open_tables,
    read_checked,
)
from pipeline.files import write_json
from pipeline.params.fetch import Fetch

OUT = Path("data/raw")
# Training examples that a label needs: without a test split, a fifth of them is drawn for it.
MIN_EXAMPLES = {True: 3, False: 5}


def main() -> None:
    config = params.load().fetch
    source = sources.resolve_source(config, cli.repository_root())
    OUT.parent.mkdir(exist_ok=True)
    # Everything is written beside the target and moved there when it is complete: a half table is never seen.
    with tempfile.TemporaryDirectory(dir=OUT.parent, prefix=".fetch-") as temporary:
        folder = Path(temporary, "raw")
        folder.mkdir()
        downloaded = cached_download(source, Path(temporary)) if source.kind == "url" else None
        try:
            examples = read_source(source, downloaded, config, Path(temporary))
            manifest = write_examples(source, examples, folder, config.max_rejects)
        except UserError:
            if downloaded:
                downloaded.unlink()  # the next call downloads it again: the server may have mended it by then
            raise
        shutil.rmtree(OUT, ignore_errors=True)
        folder.rename(OUT)
    counts = ", ".join(f"{sum(labels.values()):,} {split}" for split, labels in manifest["counts"].items())
    print(
        f"fetch: {manifest['examples']:,} examples of {len(manifest['labels'])} labels ({counts}) "
        f"from {manifest['source']}"
    )
    if manifest["rejected"]:
        print(f"fetch: {describe_rejects(manifest['rejected'])} (data/raw/rejects.parquet)")
    if manifest["similar_labels"]:
        same = "; ".join(" and ".join(map(repr, labels)) for labels in manifest["similar_labels"])
        print(f"fetch: labels that differ only by case: {same}")


def read_source(
    source: sources.Source, downloaded: Path | None, config: Fetch, temporary: Path
) -> Iterator[Example | RejectedRow]:
    """The examples of a source, and the rows of its tables that cannot be used.

    `downloaded` is the file of a URL, and `temporary` a folder for the tables in an archive.
    """
    if source.kind == "sample":
        return as_examples(source, sources.read_sample(config), "utf-8")
    local = sources.local_source(downloaded, source.digest, source.name) if downloaded else source
    if local.kind == "archive":
        local = sources.extract_tables(local, temporary)
    if local.kind != "tables":
        return as_examples(source, sources.read_examples(local), config.encoding or "utf-8")
    tables = open_tables(local, config.encoding)
    for table in tables:
        print(f"fetch: {table.name} is {table.describe()}")
    chosen, guessed = choose_columns(tables, config)
    note = " (guessed; set fetch.text and fetch.label to others)" if guessed else ""
    print(f"fetch: columns: {chosen.describe()}{note}")
    return read_checked(tables, chosen)


def as_examples(source: sources.Source, contents: Iterable[tuple[str, bytes]], encoding: str) -> Iterator[Example]:
    """Decode `(id, content)` pairs. Raises UserError for a text that is not of this encoding."""
    for id, content in contents:
        split, label, _ = id.split("/")
        try:
            text = content.decode(encoding)
            if text.count("\0") > len(text) / 4:
                other = "utf-16-be" if text.startswith("\0") else "utf-16-le"
                remedy = f"set fetch.encoding to {other}" if encoding == "utf-8" else "check fetch.encoding"
                raise UserError(f"{source.name}: {id} is full of NULs if it is read as {encoding}; {remedy}")
            yield Example(id, text, label, split)
        except UnicodeDecodeError as error:
            name = "UTF-8" if encoding == "utf-8" else encoding
            raise UserError(
                f"{source.name}: {id} is not {name} text (byte {error.start}); "
                "convert it, or set fetch.encoding to that of all texts"
            ) from None


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


def write_examples(
    source: sources.Source, examples: Iterable[Example | RejectedRow], folder: Path, max_rejects: float = 0.0
) -> dict:
    """Write the table, the rejected rows and the manifest into `folder`; returns the manifest.

    Raises UserError for a duplicate id, more than this share of rejected rows, fewer than two labels, labels that
    differ between train and test, or a digest other than the expected one.
    """
    counts: dict[str, Counter[str]] = {}
    sha256 = hashlib.sha256()
    with closing(open_database(folder.parent)) as database:
        validation = store_examples(source, examples, database)
        reject_labels(database)
        rejected = dict(
            database.execute("select reason, count(*) from reject group by reason order by count(*) desc, reason")
        )
        check_rejects(source, database, rejected, max_rejects)

        def rows() -> Iterator[dict[str, str]]:
            for id, text, label, split in database.execute("select id, text, label, split from example order by id"):
                counts.setdefault(split, Counter())[label] += 1
                # The id of a text in a folder has its split and label; to that of a table's row they are added.
                name = id if id.startswith(f"{split}/{label}/") else f"{id}\t{split}\t{label}"
                sha256.update(f"{name}\t{hashlib.sha256(text.encode()).hexdigest()}\n".encode())
                yield {"id": id, "text": text, "label": label, "split": split}

        tables.write_table(folder / "examples.parquet", tables.RAW_SCHEMA, rows())
        if rejected:
            rejects = database.execute("select file, row, reason, detail from reject order by file, row")
            names = tables.REJECTS_SCHEMA.names
            tables.write_table(
                folder / "rejects.parquet",
                tables.REJECTS_SCHEMA,
                (dict(zip(names, reject, strict=True)) for reject in rejects),
            )
    if validation:
        print(f"fetch: {validation:,} validation examples are added to train; split draws validation examples from it")
    digest = sha256.hexdigest()
    if not counts:
        raise UserError(f"{source.name} has no row with a text and a label; check fetch.text and fetch.label")
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
        "rejected": rejected,
        "similar_labels": similar_labels(labels),
    }
    write_json(folder / "manifest.json", manifest)
    return manifest


def open_database(folder: Path) -> sqlite3.Connection:
    """The examples are sorted on disk, so memory does not grow with the corpus."""
    # isolation_level=None: a file that ends with this process needs no journal
    database = sqlite3.connect(folder / "order.db", isolation_level=None)
    database.executescript("pragma journal_mode = off; pragma synchronous = off; begin;")
    database.execute(
        "create table example (id text primary key, text text, label text, split text, file text, row int)"
    )
    database.execute("create table reject (file text, row int, reason text, detail text)")
    return database


def store_examples(
    source: sources.Source, examples: Iterable[Example | RejectedRow], database: sqlite3.Connection
) -> int:
    """Returns how many examples were of a validation split; `split` draws that from the training examples."""
    validation = 0
    insert_reject = "insert into reject values (?, ?, ?, ?)"
    for example in tqdm(examples, desc="  read", unit=" examples", disable=None):
        try:
            if isinstance(example, RejectedRow):
                database.execute(insert_reject, example)
                continue
            split = "train" if example.split == "validation" else example.split
            row = (example.id, example.text, example.label, split, example.file, example.row)
            database.execute("insert into example values (?, ?, ?, ?, ?, ?)", row)
            validation += example.split == "validation"
        except sqlite3.IntegrityError:
            assert isinstance(example, Example)
            if not example.file:
                raise UserError(f"{source.name} contains {example.id} twice; keep one of them") from None
            database.execute(insert_reject, (example.file, example.row, "duplicate_id", example.id))
        except sqlite3.OperationalError as error:
            raise UserError(
                f"the examples cannot be sorted in {OUT.parent} ({error}); check that the disk has room"
            ) from None
    return validation


def reject_labels(database: sqlite3.Connection) -> None:
    """Reject rows of tables whose label has too few training examples to be learned, or none."""
    has_test = database.execute("select 1 from example where split = 'test' limit 1").fetchone()
    minimum = MIN_EXAMPLES[bool(has_test)]
    trained = "(select label from example where split = 'train' group by label having count(*) >= ?)"
    for reason, condition in (
        ("label_not_in_train", "label not in (select label from example where split = 'train')"),
        ("rare_label", f"label not in {trained}"),
    ):
        where = f"where file != '' and {condition}"
        values = (minimum,) if reason == "rare_label" else ()
        database.execute(f"insert into reject select file, row, '{reason}', label from example {where}", values)
        database.execute(f"delete from example {where}", values)


def check_rejects(
    source: sources.Source, database: sqlite3.Connection, rejected: dict[str, int], max_rejects: float
) -> None:
    """Raises UserError, with an example, if the share of rejected rows is larger than `max_rejects`."""
    (kept,) = database.execute("select count(*) from example").fetchone()
    n_rejects = sum(rejected.values())
    if not n_rejects or n_rejects <= max_rejects * (kept + n_rejects):
        return
    file, row, reason = database.execute(
        "select file, row, reason from reject where reason = ? order by file, row limit 1", (next(iter(rejected)),)
    ).fetchone()
    raise UserError(
        f"{source.name}: {n_rejects:,} of {kept + n_rejects:,} rows cannot be used ({describe_rejects(rejected)}; "
        f"for example row {row:,} of {file}: {REASONS[reason]}), more than fetch.max_rejects ({max_rejects:g}) allows; "
        "correct them, or set it to a larger share"
    )


def similar_labels(labels: list[str]) -> list[list[str]]:
    """Groups of labels that differ only by case."""
    groups: dict[str, list[str]] = {}
    for label in labels:
        groups.setdefault(label.casefold(), []).append(label)
    return [group for group in groups.values() if len(group) > 1]


if __name__ == "__main__":
    cli.run(main)
