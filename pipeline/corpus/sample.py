"""The corpus `sample`: generated questions about programming, so that the pipeline runs without a download.

Which of csharp, java, javascript, python is a question about? A seeded random generator combines hand-written parts
(see `pipeline.corpus.sample_problems`): what is asked, how people ask it, and the code in each language.
The texts have the form of the Stack Overflow 16k corpus: lower case, a dot for each newline, no backslashes, HTML
entities, and "blank" for the names of the languages. A few in a hundred give no clue to their label, as real posts do.

The corpus is for trying the pipeline, for tests, and for measuring speed at any size. Metrics on it say nothing about
real texts, and the same parts occur in its training and test examples.

    for id, text in generate_examples(size=2400, seed=1): ...
"""

import html
import random
import re
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.corpus.sample_problems import LABELS, Problem, load_phrases, load_problems

LANGUAGE_NAME = re.compile("javascript|java|python|csharp|c#")


class Shape(NamedTuple):
    """A kind of post: its weight among all posts, and the minimum and maximum number of each part."""

    weight: int
    prose: tuple[int, int]
    code: tuple[int, int]
    hints: tuple[int, int]  # sentences that only fit the post's language
    whole: float  # probability that a snippet is shown in full, and not only some of its lines
    trace: float  # probability of an error message


SHAPES = (
    Shape(58, prose=(2, 4), code=(1, 2), hints=(0, 2), whole=0.9, trace=0.2),  # the usual question
    Shape(22, prose=(3, 5), code=(3, 9), hints=(1, 2), whole=1.0, trace=0.5),  # a long post with much code
    Shape(10, prose=(1, 2), code=(1, 1), hints=(0, 1), whole=0.3, trace=0.1),  # a fragment
    Shape(7, prose=(2, 4), code=(0, 0), hints=(2, 3), whole=0.0, trace=0.2),  # no code, but names of tools
    Shape(3, prose=(0, 1), code=(0, 0), hints=(0, 1), whole=0.0, trace=0.0),  # hardly any content
)
MISLEADING = 0.06  # probability of a tool of another language; half of it is that of a snippet or a trace of one


def generate_examples(size: int, seed: int) -> Iterator[tuple[str, str]]:
    """Yield `size` pairs of id (`train/java/0.txt`) and text; labels alternate, and a quarter of each is in test."""
    rng = random.Random(seed)
    for number in range(size):
        nth, label = number // len(LABELS), LABELS[number % len(LABELS)]
        n_test = (nth + 2) // 4  # of this label so far: its 2nd, 6th, 10th ... post is in test
        split, name = ("test", n_test) if nth % 4 == 1 else ("train", nth - n_test)
        yield f"{split}/{label}/{name}.txt", to_corpus_form(generate_post(rng, label))


def generate_post(rng: random.Random, label: str) -> str:
    """One question, with capitals and newlines as an author would type them."""
    phrases, problems = load_phrases(), load_problems()
    problem = rng.choice(problems)
    shape = rng.choices(SHAPES, [shape.weight for shape in SHAPES])[0]
    others = [other for other in LABELS if other != label]

    prose = rng.sample(problem.prose, min(rng.randint(*shape.prose), len(problem.prose)))
    prose += rng.sample(phrases.attempts, rng.randint(0, 3)) if prose else [rng.choice(phrases.vague)]
    prose += [generate_hint(rng, problem, label) for _ in range(rng.randint(*shape.hints))]
    if rng.random() < MISLEADING:
        things = rng.choice([phrases.neutral_things, *(phrases.things[other] for other in others)])
        prose.append(rng.choice(phrases.foreign_things).replace("THING", rng.choice(things)))
    rng.shuffle(prose)
    middle = len(prose) // 2 + 1

    blocks = [rng.choice(phrases.openings)] if rng.random() < 0.4 else []
    blocks.append(" ".join(prose[:middle]))
    for nth in range(rng.randint(*shape.code)):
        if rng.random() < 0.7:
            blocks.append(rng.choice(phrases.more_leads if nth else phrases.leads))
        # After the first snippet, what people paste is often about something else.
        subject = problem if nth == 0 or rng.random() < 0.3 else rng.choice(problems)
        blocks.append(generate_code(rng, subject, label, shape.whole))
    if rng.random() < shape.trace:
        blocks += [rng.choice(phrases.trace_leads), rng.choice(phrases.traces[label]) + "\n"]
    if prose[middle:]:
        blocks.append(" ".join(prose[middle:]))
    if rng.random() < MISLEADING / 2:
        other = rng.choice(others)
        code_or_trace = (
            generate_code(rng, problem, other, shape.whole), rng.choice(phrases.traces[other]) + "\n"
        )  # fmt: skip
        stray = rng.choice(code_or_trace)
        blocks += [rng.choice(phrases.comparisons), stray]
    if rng.random() < 0.5:
        blocks.append(rng.choice(phrases.closings))

    title = rng.choice(phrases.title_frames).replace("TITLE", rng.choice(problem.titles))
    text = title + " " + "\n\n".join(add_typo(rng, block) for block in blocks)
    return fill_slots(rng, text)


def generate_hint(rng: random.Random, problem: Problem, label: str) -> str:
    """A sentence that hints at the language: about this problem, or about a tool or library."""
    phrases = load_phrases()
    if problem.hints.get(label) and rng.random() < 0.4:
        return rng.choice(problem.hints[label])
    return rng.choice(phrases.own_things).replace("THING", rng.choice(phrases.things[label]))


def generate_code(rng: random.Random, problem: Problem, label: str, whole: float) -> str:
    """A snippet of the problem in this language, or some consecutive lines of it, ending in a newline."""
    snippet = rng.choice(problem.snippets(label))
    # The position of the brace is the plainest difference between much Java and C#; most people keep to it.
    if rng.random() < {"csharp": 0.9, "java": 0.05}.get(label, 0.0):
        snippet = re.sub(r"(?m)^( *)(\S.*) \{$", r"\1\2\n\1{", snippet)
        snippet = re.sub(r"(?m)^( *)\} (else.*|catch.*|finally.*)$", r"\1}\n\1\2", snippet)
    lines = snippet.split("\n")
    if rng.random() > whole:
        first = rng.randrange(max(1, len(lines) - 2))
        lines = lines[first : first + rng.randint(2, 5)]
    elif rng.random() < 0.25:
        lines = [*rng.choice(load_phrases().headers[label]).split("\n"), *lines]
    indent = rng.choice(("", "", "    "))
    return "\n".join(indent + line for line in lines) + "\n"


def add_typo(rng: random.Random, block: str) -> str:
    """The block with a misspelling, one time in four; not code (it ends in a newline), which is pasted."""
    if block.endswith("\n") or rng.random() > 0.25:
        return block
    return block.replace(*rng.choice(load_phrases().typos))


def fill_slots(rng: random.Random, text: str) -> str:
    """The text with its slots filled: the same word for the same slot, different words for different slots."""
    slots = load_phrases().slots
    filled: dict[str, str] = {}

    def word(slot: re.Match[str]) -> str:
        if slot[0] not in filled:
            filled[slot[0]] = rng.choice([word for word in slots[slot[1]] if word not in filled.values()])
        return filled[slot[0]]

    return re.sub(rf"({'|'.join(slots)})\d?", word, text)


def to_corpus_form(text: str) -> str:
    """The text in the form of the real corpus: a CSV field that went through HTML and lost its newlines."""
    text = LANGUAGE_NAME.sub("blank", text.lower().replace("\\", ""))
    text = html.escape(text, quote=False).strip().replace("\n", ".")
    return '"' + text.replace('"', '""') + '"' if '"' in text or "," in text else text
