"""The corpus that the repository makes itself: always the same for one seed, and shaped like the real one."""

import hashlib
import os
import random
import subprocess
import sys
from collections import Counter

import pytest

from pipeline.corpus.problems import PROBLEMS, Problem
from pipeline.corpus.sample import LABELS, as_stored, filled, posts

DIGEST = """
import hashlib
from pipeline.corpus.sample import posts
print(hashlib.sha256(repr(list(posts(200, 7))).encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [text for _, text in posts(2000, seed=1)]


def test_same_seed_gives_the_same_bytes() -> None:
    assert list(posts(100, seed=3)) == list(posts(100, seed=3))


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_another_process_with_another_hash_seed_gives_the_same_bytes(hash_seed: str) -> None:
    here = hashlib.sha256(repr(list(posts(200, 7))).encode()).hexdigest()
    env = os.environ | {"PYTHONHASHSEED": hash_seed}

    there = subprocess.check_output([sys.executable, "-c", DIGEST], env=env, text=True)

    assert there.strip() == here


def test_another_seed_gives_other_texts() -> None:
    ones = {text for _, text in posts(100, seed=1)}
    others = {text for _, text in posts(100, seed=2)}
    assert not ones & others


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 30, 101, 400])
def test_size_is_exact_and_labels_are_balanced(size: int) -> None:
    paths = [path for path, _ in posts(size, seed=5)]

    assert len(set(paths)) == size
    per_label = Counter(path.split("/")[1] for path in paths)
    counts = [per_label[label] for label in LABELS]
    assert sum(counts) == size
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize("size", [8, 9, 30, 400])
def test_a_quarter_of_each_label_is_test_and_files_are_numbered_from_zero(size: int) -> None:
    paths = {path for path, _ in posts(size, seed=5)}

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


def test_some_posts_hold_no_code(texts: list[str]) -> None:
    without = [text for text in texts if not set("{}()=;") & set(text)]
    assert 0.05 < len(without) / len(texts) < 0.3


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_every_problem_is_asked_in_every_language(problem: Problem) -> None:
    assert len(problem.titles) >= 3
    assert len(problem.prose) >= 3
    for label in LABELS:
        assert [code for labels, code in problem.code.items() if label in labels.split()]
    known = {*LABELS, "java csharp"}
    assert known >= {*problem.code, *problem.hints}


def test_problems_have_names_of_their_own() -> None:
    assert len(PROBLEMS) >= 30
    assert len({problem.name for problem in PROBLEMS}) == len(PROBLEMS)


def test_a_gap_is_filled_with_one_word_throughout_and_another_gap_with_another() -> None:
    text = filled(random.Random(1), "ITEMs ITEM ITEM2 getITEM()")

    plural, one, other, getter = text.split()
    assert plural == one + "s"
    assert getter == f"get{one}()"
    assert other != one


def test_stored_form_is_that_of_the_real_corpus() -> None:
    assert as_stored("In JavaScript?") == "in blank?"
    assert as_stored("Pythonic\nis it") == "blankic.is it"
    assert as_stored('import java.util.List;\nprint("a\\n");') == '"import blank.util.list;.print(""an"");"'
    assert as_stored("if a < b") == "if a &lt; b"
