"""Inspect a source of labelled texts before anything runs: `python -m pipeline.inspect --help`.

Prints format, encoding, columns, labels, lengths, scripts, a few examples and problems, and the section `fetch` of
`params.yaml` that reads the source; `--write` puts it there.
"""

import io
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from ruamel.yaml import YAML

from pipeline import cli, fetch, params
from pipeline.cli import UserError
from pipeline.corpus import columns, sources
from pipeline.corpus.columns import UNSPACED, Profile
from pipeline.corpus.readers import Table
from pipeline.corpus.rows import (
    Columns,
    Example,
    RejectedRow,
    choose_columns,
    describe_rejects,
    open_tables,
    profile_tables,
    read_checked,
)
from pipeline.files import written_beside
from pipeline.params.fetch import Fetch

MAX_LABELS = 20  # printed
MAX_EXAMPLES = 3
MAX_WIDTH = 100  # characters of an example
SHORT, LONG = 3, 20_000  # characters of a text that is reported
# Names of Unicode characters begin with that of their script.
SCRIPTS = {
    "LATIN": "Latin", "CYRILLIC": "Cyrillic", "GREEK": "Greek", "ARABIC": "Arabic", "HEBREW": "Hebrew",
    "CJK": "Chinese characters", "HIRAGANA": "Japanese kana", "KATAKANA": "Japanese kana", "HANGUL": "Korean",
    "THAI": "Thai", "LAO": "Lao", "KHMER": "Khmer", "MYANMAR": "Burmese", "DEVANAGARI": "Devanagari",
    "BENGALI": "Bengali", "TAMIL": "Tamil", "TELUGU": "Telugu", "GEORGIAN": "Georgian", "ARMENIAN": "Armenian",
}  # fmt: skip


@dataclass
class Summary:
    """What a pass over all examples found."""

    labels: Counter[str] = field(default_factory=Counter)
    train_labels: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    first_reject: dict[str, RejectedRow] = field(default_factory=dict)
    lengths: Counter[int] = field(default_factory=Counter)  # of the texts, in characters
    scripts: Counter[str] = field(default_factory=Counter)  # letters
    unspaced: int = 0  # texts with letters of a script without blanks
    examples: dict[str, Example] = field(default_factory=dict)  # the first one of each of the first labels
    hashes: set[int] = field(default_factory=set)
    duplicates: int = 0

    @property
    def total(self) -> int:
        return self.labels.total()


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, epilog="""\b
Examples:
  python -m pipeline.inspect spam.csv
  python -m pipeline.inspect 'banking77_*.csv' --label category --write
""")  # fmt: skip
@click.argument("source")
@click.option("--text", multiple=True, metavar="COLUMN", help="Column of the texts; several are joined.")
@click.option("--label", metavar="COLUMN", help="Column of the labels.")
@click.option("--split", metavar="COLUMN", help="Column of the splits.")
@click.option("--id", "id_", metavar="COLUMN", help="Column of unique ids.")
@click.option("--encoding", help="Encoding of text files, for example cp1252.")
@click.option("--write", is_flag=True, help="Write the section fetch into params.yaml.")
def main(
    source: str,
    text: tuple[str, ...],
    label: str | None,
    split: str | None,
    id_: str | None,
    encoding: str | None,
    write: bool,
) -> None:
    """Inspect SOURCE, a path or URL of labelled texts, and print the parameters that read it."""
    current = params.load().fetch.model_dump()
    texts: Any = None if not text else text[0] if len(text) == 1 else list(text)
    values = {"source": source, "digest": None, "text": texts, "label": label, "split": split, "id": id_}
    config = validate(current | values | {"encoding": encoding})
    found = sources.resolve_source(config, cli.repository_root())
    with tempfile.TemporaryDirectory() as temporary:
        chosen, tables, examples = read_source(found, config, Path(temporary))
        summary = summarize(examples)
    print_summary(summary)
    problems = list(find_problems(summary, config.max_rejects))
    print("\nProblems" if problems else "\nNo problems found.")
    for problem in problems:
        print(f"  - {problem}")
    section = suggest_section(config, chosen, tables)
    print("\nparams.yaml")
    print_section(section)
    if needs_bpe(summary):
        print("vectorize:\n  tokenizer: bpe  # most texts are in a script without blanks between words")
    if not summary.total:
        raise UserError(f"{found.name} has no row that can be used; name its columns with --text and --label")
    if write:
        write_params(section, needs_bpe(summary))
        print("\nWritten to params.yaml. Next: make repro")
    else:
        print("\nNext: run this again with --write, then make repro")


def validate(values: dict[str, Any]) -> Fetch:
    """Raises UserError for options that params.yaml does not allow."""
    try:
        return Fetch.model_validate(values)
    except params.ValidationError as error:
        first = error.errors()[0]
        message = first["ctx"]["error"] if first["type"] == "value_error" else first["msg"]
        raise UserError(f"{'.'.join(map(str, first['loc']))}: {message}") from None


def read_source(
    source: sources.Source, config: Fetch, temporary: Path
) -> tuple[Columns | None, list[Table], Iterable[Example | RejectedRow]]:
    """The columns that are read (of tables), the tables, and the examples and rejected rows."""
    if source.kind == "sample":
        print(f"Source: {source.name}, generated texts")
        return None, [], fetch.as_examples(source, sources.read_sample(config), "utf-8")
    local = source
    if source.kind == "url":
        local = sources.local_source(fetch.cached_download(source, temporary), None, source.name)
    if local.kind == "archive":
        local = sources.extract_tables(local, temporary)
    if local.kind != "tables":
        print(f"Source: {source.name}, a text per file in a folder per label")
        return None, [], fetch.as_examples(source, sources.read_examples(local), config.encoding or "utf-8")
    tables = open_tables(local, config.encoding)
    for table in tables:
        split = f", split {table.split}" if table.split else ""
        print(f"File: {table.name} ({table.path.stat().st_size:,} bytes): {table.describe()}{split}")
    profiles = profile_tables(tables)
    print_columns(profiles)
    chosen, guessed = choose_columns(tables, config)
    print(f"\nRead as {'a guess' if guessed else 'given'}: {chosen.describe()}")
    others = [name for name in columns.label_candidates(profiles) if name not in (chosen.label, *chosen.text)]
    if config.label is None and others:
        print(f"Other columns that may be labels: {', '.join(others[:5])} (name one with --label)")
    return chosen, tables, read_checked(tables, chosen)


def print_columns(profiles: dict[str, Profile]) -> None:
    print(f"\n{'Column':<24}{'filled':>10}{'distinct':>12}{'mean length':>13}  most frequent")
    for name, each in profiles.items():
        distinct = f"{len(each.values):,}{'+' if each.counted < each.filled else ''}"
        value, count = each.values.most_common(1)[0] if each.values else ("", 0)
        often = f"{shorten(value, 40)!r} ({count:,})" if count > 1 else ""
        print(f"{shorten(name, 22):<24}{each.filled:>10,}{distinct:>12}{each.mean_length:>13.1f}  {often}")


def summarize(examples: Iterable[Example | RejectedRow]) -> Summary:
    summary = Summary()
    for example in examples:
        if isinstance(example, RejectedRow):
            summary.rejected[example.reason] += 1
            summary.first_reject.setdefault(example.reason, example)
            continue
        summary.labels[example.label] += 1
        summary.splits[example.split] += 1
        if example.split != "test":
            summary.train_labels[example.label] += 1
        summary.lengths[len(example.text)] += 1
        if len(summary.hashes) < 5_000_000:
            key = hash(" ".join(example.text.lower().split()))
            summary.duplicates += key in summary.hashes
            summary.hashes.add(key)
        summary.scripts.update(scripts_of(example.text[:1000]))
        summary.unspaced += len(UNSPACED.findall(example.text[:1000])) > 0.3 * len(example.text[:1000])
        if len(summary.examples) < MAX_EXAMPLES:
            summary.examples.setdefault(example.label, example)
    return summary


def scripts_of(text: str) -> Counter[str]:
    """Letters by script."""
    ascii_letters = sum(character.isalpha() for character in text if character < "\x80")
    counts = Counter({"Latin": ascii_letters})
    for character in text:
        if character >= "\x80" and character.isalpha():
            name = unicodedata.name(character, "").partition(" ")[0]
            counts[SCRIPTS.get(name, "other scripts")] += 1
    return counts


def needs_bpe(summary: Summary) -> bool:
    """Whether most texts are in a script without blanks, where a tokenizer of words finds none."""
    return summary.unspaced > 0.5 * summary.total > 0


def print_summary(summary: Summary) -> None:
    sizes = ", ".join(f"{count:,} {split}" for split, count in summary.splits.items())
    print(f"\nExamples: {summary.total:,} ({sizes})" if summary.total else "\nExamples: none")
    if not summary.total:
        return
    print(f"Labels: {len(summary.labels):,}")
    width = max(len(shorten(label, 40)) for label, _ in summary.labels.most_common(MAX_LABELS))
    for label, count in summary.labels.most_common(MAX_LABELS):
        print(f"  {shorten(label, 40):<{width}}  {count:>9,}  {count / summary.total:6.1%}")
    if len(summary.labels) > MAX_LABELS:
        rarest, fewest = summary.labels.most_common()[-1]
        print(f"  and {len(summary.labels) - MAX_LABELS:,} more; the rarest is {rarest!r} ({fewest:,})")
    lengths = sorted(summary.lengths)
    print(
        f"Length: {lengths[0]:,} to {lengths[-1]:,} characters, "
        f"median {quantile(summary.lengths, 0.5):,}, 95% up to {quantile(summary.lengths, 0.95):,}"
    )
    letters = summary.scripts.total() or 1
    scripts = [
        f"{name} {count / letters:.0%}" for name, count in summary.scripts.most_common(4) if count > letters / 200
    ]
    print(f"Scripts: {', '.join(scripts) or 'no letters'}")
    print("Examples of texts")
    for label, example in summary.examples.items():
        print(f"  {shorten(label, 40)}: {shorten(' '.join(example.text.split()), MAX_WIDTH)}")


def find_problems(summary: Summary, max_rejects: float) -> Iterable[str]:
    for reason, count in summary.rejected.most_common():
        first = summary.first_reject[reason]
        yield f"{describe_rejects({reason: count})}, for example row {first.row:,} of {first.file}"
    n_rejects = summary.rejected.total()
    if n_rejects > max_rejects * (summary.total + n_rejects):
        yield f"{n_rejects:,} rows cannot be used, more than fetch.max_rejects ({max_rejects:g}): fetch will fail"
    if len(summary.labels) == 1:
        yield "all examples have the same label; a classifier needs two or more"
    for group in fetch.similar_labels(sorted(summary.labels)):
        yield f"labels that differ only by case: {', '.join(map(repr, group))}"
    minimum = fetch.MIN_EXAMPLES["test" in summary.splits]
    rare = [label for label in summary.labels if 0 < summary.train_labels[label] < minimum]
    if rare:
        yield f"{n_labels(rare)} with fewer than {minimum} training examples, which fetch drops: {rare[0]!r}"
    only_test = [label for label in summary.labels if not summary.train_labels[label]]
    if only_test:
        yield f"{n_labels(only_test)} that no training example has, for example {only_test[0]!r}"
    no_test = [label for label, count in summary.train_labels.items() if count == summary.labels[label]]
    if "test" in summary.splits and no_test:
        yield f"{n_labels(no_test)} that no test example has, for example {no_test[0]!r}: fetch will fail"
    if len(summary.labels) > 1 and summary.total:
        label, count = summary.labels.most_common(1)[0]
        if count > 0.8 * summary.total:
            yield f"{count / summary.total:.0%} of the examples have the label {label!r}: read macro F1, not accuracy"
    if summary.duplicates:
        yield f"{summary.duplicates:,} texts are repeated (but for case and blanks); split drops repetitions"
    short = sum(count for length, count in summary.lengths.items() if length < SHORT)
    if short:
        yield f"{short:,} texts have fewer than {SHORT} characters"
    long = sum(count for length, count in summary.lengths.items() if length > LONG)
    if long:
        yield f"{long:,} texts have more than {LONG:,} characters; the network reads vectorize.max_length tokens"


def n_labels(labels: Sequence[str]) -> str:
    return f"{len(labels):,} {'label' if len(labels) == 1 else 'labels'}"


def quantile(lengths: Counter[int], share: float) -> int:
    below, total = 0, lengths.total()
    for length in sorted(lengths):
        below += lengths[length]
        if below >= share * total:
            return length
    return 0


def shorten(text: str, width: int) -> str:
    """The text without characters that could control a terminal, cut to `width` characters."""
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= width else text[: width - 1] + "…"


def suggest_section(config: Fetch, chosen: Columns | None, tables: list[Table]) -> dict[str, Any]:
    """The values of the section fetch that read the source as it was read now."""
    section = config.model_dump()
    if chosen:
        text = chosen.text[0] if len(chosen.text) == 1 else list(chosen.text)
        encodings = {table.encoding for table in tables}
        section |= {"text": text, "label": chosen.label, "split": chosen.split, "id": chosen.id}
        # UTF-8 is recognized without doubt; another encoding is a guess, and stays what it was when it was looked at.
        if len(encodings) == 1 and not str(*encodings).startswith(("utf", "None")):
            section["encoding"] = encodings.pop()
    return section


def print_section(section: dict[str, Any]) -> None:
    buffer = io.StringIO()
    yaml = YAML()
    yaml.allow_unicode = True
    shown = {name: value for name, value in section.items() if not name.startswith("sample_")}
    yaml.representer.add_representer(
        type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    yaml.dump({"fetch": shown}, buffer)
    print(buffer.getvalue().rstrip())


def write_params(section: dict[str, Any], bpe: bool) -> None:
    """Change the values in params.yaml; its comments stay. The file is replaced only if the result is valid."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1000
    yaml.representer.add_representer(
        type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    content = yaml.load(params.PARAMS_FILE.read_text(encoding="utf-8"))
    content["fetch"].update(section)
    if bpe:
        content["vectorize"]["tokenizer"] = "bpe"
    with written_beside(params.PARAMS_FILE) as beside:
        with beside.open("w", encoding="utf-8") as file:
            yaml.dump(content, file)
        params.load(beside)


if __name__ == "__main__":
    cli.run(main)
