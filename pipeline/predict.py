"""Predict the labels of texts with the model in `models/`: `python -m pipeline.predict --help`."""

import json
import os
import sys
from pathlib import Path

import click

from pipeline import cli
from pipeline.cli import UserError
from pipeline.model.classifier import Classifier

MODELS = Path("models")
EXAMPLES = """\b
Examples:
  python -m pipeline.predict "how do i sort a dict by value"
  python -m pipeline.predict question.txt
  python -m pipeline.predict --json first.txt second.txt
  cat question.txt | python -m pipeline.predict
"""


@click.command(epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("text", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per text.")
def predict(text: tuple[str, ...], as_json: bool) -> None:
    """Predict the labels of texts with the model in models/.

    TEXT is a text, or the path of a file with one. Without TEXT, the text is read from standard input.
    """
    texts = [read_argument(argument) for argument in text] or [read_stdin()]
    if not all(text.strip() for text in texts):
        raise UserError("there is no text to classify; give a text, a file with one, or standard input")
    classifier = Classifier(MODELS)
    for probabilities in classifier.predict_proba(texts):
        by_label = dict(zip(classifier.labels, map(float, probabilities), strict=True))
        ranked = sorted(by_label, key=by_label.__getitem__, reverse=True)
        if as_json:
            print(json.dumps({"label": ranked[0], "probabilities": by_label}))
        else:
            print(f"{ranked[0]}  ({', '.join(f'{label} {by_label[label]:.3f}' for label in ranked)})")


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
