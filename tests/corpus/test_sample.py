"""The sample corpus: the same bytes for the same seed, in the form of the real one."""

import hashlib
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from pipeline.corpus.sample import fill_slots, generate_examples, to_corpus_form
from pipeline.corpus.sample_problems import LABELS, Problem, load_problems, parse_problem

DIGEST = """
import hashlib
from pipeline.corpus.sample import generate_examples
print(hashlib.sha256(repr(list(generate_examples(200, 7))).encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [text for _, text in generate_examples(2000, seed=1)]


def test_same_seed_gives_the_same_bytes() -> None:
    assert list(generate_examples(100, seed=3)) == list(generate_examples(100, seed=3))


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_another_process_with_another_hash_seed_gives_the_same_bytes(hash_seed: str) -> None:
    here = hashlib.sha256(repr(list(generate_examples(200, 7))).encode()).hexdigest()
    env = os.environ | {"PYTHONHASHSEED": hash_seed}

    there = subprocess.check_output([sys.executable, "-c", DIGEST], env=env, text=True)

    assert there.strip() == here


def test_bytes_are_those_that_the_metrics_of_the_documentation_were_measured_on() -> None:
    sha256 = hashlib.sha256()
    for id, text in generate_examples(2400, seed=1):
        sha256.update(f"{id}\t{text}\n".encode())

    assert sha256.hexdigest() == "86b3b1a63303421254c8e3d1a9b8e323819e6887d1c66af3d86b33a8a71f6351"


def test_another_seed_gives_other_texts() -> None:
    ones = {text for _, text in generate_examples(100, seed=1)}
    others = {text for _, text in generate_examples(100, seed=2)}
    assert not ones & others


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 30, 101, 400])
def test_size_is_exact_and_labels_are_balanced(size: int) -> None:
    paths = [path for path, _ in generate_examples(size, seed=5)]

    assert len(set(paths)) == size
    per_label = Counter(path.split("/")[1] for path in paths)
    counts = [per_label[label] for label in LABELS]
    assert sum(counts) == size
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("size", [8, 9, 30, 400])
def test_a_quarter_of_each_label_is_test_and_files_are_numbered_from_zero(size: int) -> None:
    paths = {path for path, _ in generate_examples(size, seed=5)}

    for label in LABELS:
        train = [path for path in paths if path.startswith(f"train/{label}/")]
        test = [path for path in paths if path.startswith(f"test/{label}/")]
        assert train
        assert test
        assert abs(len(test) - (len(train) + len(test)) / 4) <= 0.5
        assert set(train) == {f"train/{label}/{n}.txt" for n in range(len(train))}
        assert set(test) == {f"test/{label}/{n}.txt" for n in range(len(test))}


def test_no_post_names_a_language(texts: list[str]) -> None:
    for name in ("java", "python", "csharp", "c#", "javascript"):
        assert not [text for text in texts if name in text]


def test_posts_are_lower_case_on_one_line_without_gaps_or_backslashes(texts: list[str]) -> None:
    for text in texts:
        assert text == text.lower()
        assert text
        assert text == text.strip()
        assert not set("\n\r\t\\<>") & set(text)


def test_duplicates_are_rare(texts: list[str]) -> None:
    assert len(texts) - len(set(texts)) < 2


def test_posts_are_short_and_long_with_a_median_around_a_hundred_words(texts: list[str]) -> None:
    words = sorted(len(text.split()) for text in texts)
    assert words[0] < 20
    assert 80 <= words[len(words) // 2] <= 120
    assert words[-1] > 250


def test_some_posts_have_no_code(texts: list[str]) -> None:
    without = [text for text in texts if not set("{}()=;") & set(text)]
    assert 0.05 < len(without) / len(texts) < 0.3


@pytest.mark.parametrize("problem", load_problems(), ids=lambda problem: problem.name)
def test_every_problem_is_asked_in_every_language(problem: Problem) -> None:
    assert len(problem.titles) >= 3
    assert len(problem.prose) >= 3
    for label in LABELS:
        assert problem.snippets(label)


def test_problems_have_different_names() -> None:
    assert len(load_problems()) >= 30
    assert len({problem.name for problem in load_problems()}) == len(load_problems())


def test_slot_is_filled_with_one_word_throughout_and_another_slot_with_another() -> None:
    text = fill_slots(random.Random(1), "ITEMs ITEM ITEM2 getITEM()")

    plural, one, other, getter = text.split()
    assert plural == one + "s"
    assert getter == f"get{one}()"
    assert other != one


def test_form_is_that_of_the_real_corpus() -> None:
    assert to_corpus_form("In JavaScript?") == "in blank?"
    assert to_corpus_form("Pythonic\nis it") == "blankic.is it"
    assert to_corpus_form('import java.util.List;\nprint("a\\n");') == '"import blank.util.list;.print(""an"");"'
    assert to_corpus_form("if a < b") == "if a &lt; b"


PROBLEM = """# sort

## Titles

- sort a list

## Prose

- it is not sorted.

## Code

```python
VAR.sort()
```

```java csharp
ITEM.sort();
```

## Hints

### python

- my list has no sort.
"""


def test_problem_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "1.md").write_text(PROBLEM)

    problem = parse_problem(tmp_path / "1.md")

    assert problem == Problem(
        "sort", ["sort a list"], ["it is not sorted."],
        [(["python"], "VAR.sort()"), (["java", "csharp"], "ITEM.sort();")], {"python": ["my list has no sort."]},
    )  # fmt: skip
    assert problem.snippets("csharp") == ["ITEM.sort();"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("# sort\n", "sort\n", "does not begin with"),
        ("## Prose", "## Text", "needs the sections"),
        ("- sort a list", "sort a list", "section Titles: 'sort a list' is no bullet"),
        ("```python", "```perl", "names the language perl"),
        ("### python", "### cobol", "names the language cobol"),
        ("```python", "", "text outside of a fenced block"),
    ],
)
def test_malformed_problem_file_is_an_error_that_names_it(tmp_path: Path, old: str, new: str, message: str) -> None:
    (tmp_path / "7-sort.md").write_text(PROBLEM.replace(old, new, 1))

    with pytest.raises(ValueError, match=rf"^7-sort\.md.*{message}"):
        parse_problem(tmp_path / "7-sort.md")
