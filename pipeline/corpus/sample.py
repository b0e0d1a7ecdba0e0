"""`sample`: questions about programming that this repository makes itself, so that the pipeline runs offline.

Which of csharp, java, javascript, python is a question about? Hand-written parts (`problems/`: what is asked,
how people ask it, what the code looks like in each language) are put together by a seeded random generator,
in the form of the Stack Overflow 16k corpus: lower case, a dot for each newline, no backslashes, HTML
entities, "blank" for the languages' names. A few posts in a hundred give nothing to go by, as real ones do.

It is for trying out, for tests and for measuring speed at any size. It is not data about the world: accuracy
on it says nothing about real posts, and with many posts the same parts come again in train and test.

    for path, text in posts(size=2400, seed=1): ...
"""

import html
import random
import re
import textwrap
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.corpus.problems import PROBLEMS, Problem, words

LABELS = ("csharp", "java", "javascript", "python")

SLOT = re.compile(rf"({'|'.join(words.SLOTS)})\d?")
LANGUAGE_NAME = re.compile("javascript|java|python|csharp|c#")


class Shape(NamedTuple):
    """A kind of post: its share of all posts, and how many of each part it holds, from and to (inclusive)."""

    share: int
    prose: tuple[int, int]
    code: tuple[int, int]
    hints: tuple[int, int]  # sentences that only fit the post's language
    whole: float  # chance that a snippet is shown whole, not just some lines of it
    trace: float  # chance of an error message from the screen


SHAPES = (
    Shape(58, prose=(2, 4), code=(1, 2), hints=(0, 2), whole=0.9, trace=0.2),  # the usual question
    Shape(22, prose=(3, 5), code=(3, 9), hints=(1, 2), whole=1.0, trace=0.5),  # everything, just in case
    Shape(10, prose=(1, 2), code=(1, 1), hints=(0, 1), whole=0.3, trace=0.1),  # torn out of context
    Shape(7, prose=(2, 4), code=(0, 0), hints=(2, 3), whole=0.0, trace=0.2),  # no code, but talk of tools
    Shape(3, prose=(0, 1), code=(0, 0), hints=(0, 1), whole=0.0, trace=0.0),  # hardly anything
)
MISLEAD = 0.06  # chance of a tool of another language, and half of it of a snippet or a trace of one


def posts(size: int, seed: int) -> Iterator[tuple[str, str]]:
    """`size` pairs of path (`train/java/0.txt`) and text: labels in turn, a quarter of each in test."""
    rng = random.Random(seed)
    for number in range(size):
        nth, label = number // len(LABELS), LABELS[number % len(LABELS)]
        tested = (nth + 2) // 4  # of this label so far: its 2nd, 6th, 10th ... post is for test
        split, place = ("test", tested) if nth % 4 == 1 else ("train", nth - tested)
        yield f"{split}/{label}/{place}.txt", as_stored(post(rng, label))


def post(rng: random.Random, label: str) -> str:
    """One question, with capitals and newlines as its author typed them."""
    problem = rng.choice(PROBLEMS)
    shape = rng.choices(SHAPES, [shape.share for shape in SHAPES])[0]
    others = [other for other in LABELS if other != label]

    prose = rng.sample(problem.prose, min(rng.randint(*shape.prose), len(problem.prose)))
    prose += rng.sample(words.ATTEMPTS, rng.randint(0, 3)) if prose else [rng.choice(words.VAGUE)]
    prose += [hint(rng, problem, label) for _ in range(rng.randint(*shape.hints))]
    if rng.random() < MISLEAD:
        things = rng.choice([words.NEUTRAL_THINGS, *(words.THINGS[other] for other in others)])
        prose.append(rng.choice(words.FOREIGN).replace("THING", rng.choice(things)))
    rng.shuffle(prose)
    middle = len(prose) // 2 + 1

    blocks = [rng.choice(words.OPENINGS)] if rng.random() < 0.4 else []
    blocks.append(" ".join(prose[:middle]))
    for nth in range(rng.randint(*shape.code)):
        if rng.random() < 0.7:
            blocks.append(rng.choice(words.MORE_LEADS if nth else words.LEADS))
        # After the first, what people paste is often of another matter.
        about = problem if nth == 0 or rng.random() < 0.3 else rng.choice(PROBLEMS)
        blocks.append(code(rng, about, label, shape.whole))
    if rng.random() < shape.trace:
        blocks += [rng.choice(words.TRACE_LEADS), rng.choice(words.TRACES[label]) + "\n"]
    if prose[middle:]:
        blocks.append(" ".join(prose[middle:]))
    if rng.random() < MISLEAD / 2:
        other = rng.choice(others)
        stray = rng.choice((code(rng, problem, other, shape.whole), rng.choice(words.TRACES[other]) + "\n"))
        blocks += [rng.choice(words.COMPARISONS), stray]
    if rng.random() < 0.5:
        blocks.append(rng.choice(words.CLOSINGS))

    title = rng.choice(words.TITLE_FRAMES).replace("TITLE", rng.choice(problem.titles))
    text = title + " " + "\n\n".join(with_typos(rng, block) for block in blocks)
    return filled(rng, text)


def hint(rng: random.Random, problem: Problem, label: str) -> str:
    """A sentence that hints at the language: on this problem, or on a tool or library."""
    if problem.hints.get(label) and rng.random() < 0.4:
        return rng.choice(problem.hints[label])
    return rng.choice(words.OWN).replace("THING", rng.choice(words.THINGS[label]))


def code(rng: random.Random, problem: Problem, label: str, whole: float) -> str:
    """A snippet of the problem in this language, or some consecutive lines of it, ending in a newline."""
    snippets = [snippet for labels, some in problem.code.items() if label in labels.split() for snippet in some]
    snippet = textwrap.dedent(rng.choice(snippets)).strip("\n")
    # Where the brace goes is the plainest difference between much Java and C#; most people keep to it.
    if rng.random() < {"csharp": 0.9, "java": 0.05}.get(label, 0.0):
        snippet = re.sub(r"(?m)^( *)(\S.*) \{$", r"\1\2\n\1{", snippet)
        snippet = re.sub(r"(?m)^( *)\} (else.*|catch.*|finally.*)$", r"\1}\n\1\2", snippet)
    lines = snippet.split("\n")
    if rng.random() > whole:
        first = rng.randrange(max(1, len(lines) - 2))
        lines = lines[first : first + rng.randint(2, 5)]
    elif rng.random() < 0.25:
        lines = [*rng.choice(words.HEADERS[label]).split("\n"), *lines]
    indent = rng.choice(("", "", "    "))
    return "\n".join(indent + line for line in lines) + "\n"


def with_typos(rng: random.Random, block: str) -> str:
    """The block as typed in haste, one time in four; code (it ends in a newline) is pasted, not typed."""
    if block.endswith("\n") or rng.random() > 0.25:
        return block
    return block.replace(*rng.choice(words.TYPOS))


def filled(rng: random.Random, text: str) -> str:
    """The text with its gaps filled: the same word for the same gap, different words for different gaps."""
    chosen: dict[str, str] = {}

    def word(gap: re.Match[str]) -> str:
        if gap[0] not in chosen:
            chosen[gap[0]] = rng.choice([word for word in words.SLOTS[gap[1]] if word not in chosen.values()])
        return chosen[gap[0]]

    return SLOT.sub(word, text)


def as_stored(text: str) -> str:
    """The text in the real corpus's form: a CSV field that went through HTML and lost its newlines."""
    text = LANGUAGE_NAME.sub("blank", text.lower().replace("\\", ""))
    text = html.escape(text, quote=False).strip().replace("\n", ".")
    return '"' + text.replace('"', '""') + '"' if '"' in text or "," in text else text
