"""Predict the labels of texts with the model in `models/`: `python -m pipeline.predict --help`."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline import cli
from pipeline.cli import UserError
from pipeline.model.classifier import Classifier

if TYPE_CHECKING:
    from pipeline.serving.models import ServedModel

MODELS = Path("models")
EXAMPLES = """\b
Examples:
  python -m pipeline.predict "how do i sort a dict by value"
  python -m pipeline.predict question.txt
  python -m pipeline.predict --json first.txt second.txt
  cat question.txt | python -m pipeline.predict
  python -m pipeline.predict --output labelled.parquet comments.csv more.jsonl.gz
  python -m pipeline.predict --output labelled.csv --version champion --threshold 0.8 --text body comments.csv
"""


@click.command(epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("text", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per text.")
@click.option("--version", help="Number or alias of a registered version; without it, the model in models/.")
@click.option("--output", type=click.Path(path_type=Path), help="Predict each row of files: .parquet, .jsonl or .csv.")
@click.option("--text", "columns", multiple=True, metavar="COLUMN", help="Column of the texts in files; or several.")
@click.option("--encoding", help="Encoding of text files, for example cp1252.")
@click.option("--threshold", type=click.FloatRange(0, 1), help="Mark predictions of files below it as abstained.")
def predict(
    text: tuple[str, ...],
    as_json: bool,
    version: str | None,
    output: Path | None,
    columns: tuple[str, ...],
    encoding: str | None,
    threshold: float | None,
) -> None:
    """Predict the labels of texts with the model in models/, or with a registered version.

    TEXT is a text, or the path of a file with one. Without TEXT, the text is read from standard input. With --output,
    each TEXT is a file of rows, in any format that the pipeline reads.
    """
    if output and as_json:
        raise click.UsageError("--json is for texts; --output with a name that ends with .jsonl writes JSON Lines")
    if output:
        predict_files(text, output, version, columns, encoding, threshold)
        return
    if columns or encoding or threshold is not None:
        raise click.UsageError("--text, --encoding and --threshold are for files of rows, which need --output")
    texts = [read_argument(argument) for argument in text] or [read_stdin()]
    if not all(text.strip() for text in texts):
        raise UserError("there is no text to classify; give a text, a file with one, or standard input")
    classifier = load_model(version).classifier if version else Classifier(MODELS)
    for probabilities in classifier.predict_proba(texts):
        by_label = dict(zip(classifier.labels, map(float, probabilities), strict=True))
        ranked = sorted(by_label, key=by_label.__getitem__, reverse=True)
        if as_json:
            print(json.dumps({"label": ranked[0], "probabilities": by_label}))
        else:
            print(f"{ranked[0]}  ({', '.join(f'{label} {by_label[label]:.3f}' for label in ranked)})")


def load_model(version: str | None) -> "ServedModel":
    """A registered version, or the model in `models/`."""
    from pipeline.serving import models

    return (models.from_registry(version) if version else models.from_folder(MODELS)).load(None)


def predict_files(
    paths: Sequence[str],
    output: Path,
    version: str | None,
    columns: tuple[str, ...],
    encoding: str | None,
    threshold: float | None,
) -> None:
    # Not at the top: a text needs no PyArrow.
    from pipeline.corpus.rows import describe_rejects
    from pipeline.serving import files

    if output.suffix not in files.FORMATS:
        raise UserError(f"--output is {output}; end its name with {', '.join(files.FORMATS)}")
    if not paths:
        raise UserError("there is no file to predict; give one or several before or after --output")
    for path in paths:
        if not Path(path).is_file():
            raise UserError(f"there is no file {path}; with --output, each argument is a file of rows")
    try:
        "".encode(encoding or "utf-8")
    except LookupError:
        raise UserError(f"{encoding!r} is not an encoding; write for example utf-8, latin-1 or cp1252") from None
    options = files.Options(columns, encoding, threshold)
    try:
        result = files.predict_files([*map(Path, paths)], output, load_model(version), options)
    except KeyboardInterrupt:
        print("stopped; the same command continues", file=sys.stderr)
        raise
    print(f"{output}: {result.rows:,} rows" + (f", {result.resumed:,} of them from before" if result.resumed else ""))
    if result.rejected:
        print(f"  not predicted, see {output}.rejects.csv: {describe_rejects(result.rejected)}")


def read_argument(argument: str) -> str:
    """The content of the file that the argument names, otherwise the argument itself.

    Raises UserError for a folder, for what looks like the path of a file but is none, and for a file that is not UTF-8.
    """
    try:
        if argument and Path(argument).is_dir():
            raise UserError(f"{argument} is a folder; give a text, or a file with one")
        if not Path(argument).is_file():
            if len(argument.split()) == 1 and (argument.endswith(".txt") or os.sep in argument):
                raise UserError(f"there is no file {argument}; give an existing one, or a text of more than one word")
            return argument
    except (OSError, ValueError):  # too long for a file name, or it contains a NUL
        return argument
    try:
        return Path(argument).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{argument} cannot be read as UTF-8 text ({error})") from None


def read_stdin() -> str:
    if sys.stdin.isatty():
        print("Type or paste a text, then press Ctrl-D.", file=sys.stderr)
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"standard input is not UTF-8 text (byte {error.start}); convert it") from None


if __name__ == "__main__":
    cli.run(predict)
