"""Predict the label of texts, with the model in `models/`.

python -m pipeline.predict "how do i sort a dict by value"
python -m pipeline.predict questions.txt          # a file is one text
cat questions.txt | python -m pipeline.predict    # so is what comes in
python -m pipeline.predict --json a.txt b.txt     # a JSON object a line, for programs
"""

import argparse
import json
import os
import sys
from pathlib import Path

from pipeline import cli
from pipeline.cli import UserError
from pipeline.model.classifier import Classifier

MODELS = Path("models")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.predict",
        description="Predict the label of texts, with the model in models/.",
    )
    parser.add_argument("text", nargs="*", help="a text, or the path of a file that holds one; none: standard input")
    parser.add_argument("--json", action="store_true", help="print a JSON object a line")
    asked = parser.parse_args()
    texts = [read(text) for text in asked.text] or [read_input()]
    if not all(text.strip() for text in texts):
        raise UserError("there is no text to predict from; give a text, a file that holds one, or standard input")
    classifier = Classifier(MODELS)
    for probabilities in classifier.probabilities(texts):
        by_label = dict(zip(classifier.labels, map(float, probabilities), strict=True))
        label = max(by_label, key=by_label.__getitem__)
        if asked.json:
            print(json.dumps({"label": label, "probabilities": by_label}))
        else:
            ranked = sorted(by_label.items(), key=lambda item: -item[1])
            print(f"{label}  ({', '.join(f'{name} {p:.3f}' for name, p in ranked)})")


def read(text: str) -> str:
    """The file's content where `text` names a file, else the text itself.

    Raises Stop for what can only be meant as a path, and leads nowhere.
    """
    try:
        if text and Path(text).is_dir():
            raise UserError(f"{text} is a folder; give a text, or a file that holds one")
        if not Path(text).is_file():
            if len(text.split()) == 1 and (text.endswith(".txt") or os.sep in text):
                raise UserError(f"there is no file {text}; give one that exists, or a text of more than one word")
            return text
    except (OSError, ValueError):  # too long for a file name, or a NUL in it
        return text
    try:
        return Path(text).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{text} cannot be read as UTF-8 text ({error})") from None


def read_input() -> str:
    if sys.stdin.isatty():
        print("Type or paste a text, then press Ctrl-D.", file=sys.stderr)
    try:
        return sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"standard input is not UTF-8 text (byte {error.start}); convert it") from None


if __name__ == "__main__":
    cli.run(main)
