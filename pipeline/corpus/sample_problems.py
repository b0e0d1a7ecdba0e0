"""The texts of the sample corpus, read from `pipeline/corpus/sample_texts/`.

`problems/*.md` has one file per programming problem. Its sections are `## Titles` and `## Prose` (a bullet per sentence
that does not tell the language), `## Code` (a fenced block per snippet, with its language, or several: "java csharp"
are lines that compile in both) and, optionally, `## Hints` with a `### <language>` for sentences that only fit that
language. `phrases.yaml` has the phrases that all problems share. Words in capitals (ITEM, FIELD, NUM) are slots: a post
fills each with one word, and ITEM2 with another one than ITEM.
"""

import functools
import re
from pathlib import Path
from typing import NamedTuple

from ruamel.yaml import YAML

TEXTS = Path(__file__).parent / "sample_texts"
LABELS = ("csharp", "java", "javascript", "python")
FENCE = re.compile(r"^```([a-z ]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Problem(NamedTuple):
    name: str
    titles: list[str]
    prose: list[str]
    code: list[tuple[list[str], str]]  # the languages of a snippet, and the snippet
    hints: dict[str, list[str]]  # by language

    def snippets(self, label: str) -> list[str]:
        """The snippets that compile in a language."""
        return [snippet for languages, snippet in self.code if label in languages]


class Phrases(NamedTuple):
    slots: dict[str, list[str]]
    title_frames: list[str]
    openings: list[str]
    attempts: list[str]
    closings: list[str]
    leads: list[str]
    more_leads: list[str]
    comparisons: list[str]
    vague: list[str]
    own_things: list[str]
    foreign_things: list[str]
    things: dict[str, list[str]]
    neutral_things: list[str]
    typos: list[tuple[str, str]]
    headers: dict[str, list[str]]
    traces: dict[str, list[str]]
    trace_leads: list[str]


@functools.cache
def load_problems(folder: Path = TEXTS / "problems") -> list[Problem]:
    """All problems, in the order of the file names. Raises ValueError, with the file's name, for a malformed file."""
    return [parse_problem(path) for path in sorted(folder.glob("*.md"))]


def parse_problem(path: Path) -> Problem:
    text = path.read_text(encoding="utf-8")
    title, *sections = re.split(r"^## ", text, flags=re.MULTILINE)
    if not title.startswith("# "):
        raise ValueError(f"{path.name} does not begin with `# <name of the problem>`")
    content = {}
    for section in sections:
        name, _, body = section.partition("\n")
        content[name.strip()] = body
    if not {"Titles", "Prose", "Code"} <= content.keys() <= {"Titles", "Prose", "Code", "Hints"}:
        raise ValueError(
            f"{path.name} needs the sections Titles, Prose and Code, and may have Hints, but has {[*content]}"
        )
    hints = {}
    for section in re.split(r"^### ", content.get("Hints", ""), flags=re.MULTILINE)[1:]:
        label, _, body = section.partition("\n")
        hints[label.strip()] = parse_bullets(path, f"Hints, {label.strip()}", body)
    code = [(match[1].split(), match[2].rstrip("\n")) for match in FENCE.finditer(content["Code"])]
    if unknown := {*hints, *(label for languages, _ in code for label in languages)} - {*LABELS}:
        raise ValueError(f"{path.name} names the language {min(unknown)}; known are {', '.join(LABELS)}")
    if rest := FENCE.sub("", content["Code"]).strip():
        raise ValueError(f"{path.name} has text outside of a fenced block in the section Code: {rest[:40]!r}")
    titles, prose = (parse_bullets(path, name, content[name]) for name in ("Titles", "Prose"))
    return Problem(title.removeprefix("# ").strip(), titles, prose, code, hints)


def parse_bullets(path: Path, section: str, body: str) -> list[str]:
    lines = [line for line in body.splitlines() if line.strip()]
    for line in lines:
        if not line.startswith("- "):
            raise ValueError(f"{path.name}, section {section}: {line[:40]!r} is no bullet (`- …`)")
    return [line.removeprefix("- ") for line in lines]


@functools.cache
def load_phrases(path: Path = TEXTS / "phrases.yaml") -> Phrases:
    """The shared phrases. Raises TypeError if a list of them is missing."""
    content = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    for name in ("slots", "things"):
        content[name] = {key: words.split(", ") for key, words in content[name].items()}
    content["neutral_things"] = content["neutral_things"].split(", ")
    content["typos"] = [(correct, misspelt) for correct, misspelt in content["typos"]]
    content["slots"]["NUM"] = [str(number) for number in range(2, 61)]
    content["slots"]["DAY"] = [
        f"20{year}-{month:02}-{day:02}"
        for year in (12, 13, 14, 16, 17, 19)
        for month in (1, 3, 6, 9, 11, 12)
        for day in (1, 5, 12, 20, 28, 30)
    ]
    return Phrases(**content)
