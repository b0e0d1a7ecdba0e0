"""Two runs' answers to the same posts: who is right where, and between what the difference lies, B's less A's."""

import pytest

from pipeline.tracking.compare import describe_paired_test, paired_test

Rows = list[dict[str, str]]
# Twenty posts of either label.
ACTUAL = {str(n): "fruit" if n < 20 else "pythön" for n in range(40)}
OTHER = {"fruit": "pythön", "pythön": "fruit"}


def rows(*wrong: int) -> Rows:
    """Predictions that are right but for these posts, as a CSV file has them."""
    return [
        {
            "id": id,
            "y_true": label,
            "y_pred": OTHER[label] if int(id) in wrong else label,
            "probability_fruit": "0.5",
        }
        for id, label in ACTUAL.items()
    ]


ALL = range(40)


def difference(a: Rows, b: Rows) -> list[float]:
    """The interval of B's macro F1 less A's."""
    told = paired_test(a, b)
    assert isinstance(told, dict)
    return told["macro_f1"]


def test_who_is_right_where_the_other_is_not_is_counted() -> None:
    # A alone is right on 3 and 4, B alone on 0, 1, 20, 21 and 22; neither is on 2.
    told = paired_test(rows(0, 1, 2, 20, 21, 22), rows(2, 3, 4))

    assert isinstance(told, dict)
    assert {name: told[name] for name in ("posts", "only_a_right", "only_b_right")} == {
        "posts": 40, "only_a_right": 2, "only_b_right": 5
    }  # fmt: skip
    assert told["p"] == 0.453  # of seven coins two or fewer, or five or more: 2 * (1 + 7 + 21) / 2^7


def test_the_interval_is_of_bs_macro_f1_less_as() -> None:
    # One that is always right has a macro F1 of 1, one that is always wrong of 0, whichever posts are drawn.
    assert difference(rows(*ALL), rows()) == [1, 1]
    assert difference(rows(), rows(*ALL)) == [-1, -1]
    assert difference(rows(3, 25), rows(3, 25)) == [0, 0]


def test_the_interval_lies_around_the_difference_and_on_its_side() -> None:
    some = (0, 1, 2, 3, 20, 21, 22, 23)  # of A's forty, eight are wrong: its macro F1 is 0.8, as is its accuracy

    low, high = difference(rows(*some), rows())
    mirrored = difference(rows(), rows(*some))

    assert 0 < low < 1 - 0.8 < high < 0.5
    assert mirrored == pytest.approx([-high, -low], abs=0.02)


def test_in_which_order_the_rows_stand_makes_no_difference() -> None:
    one, other = rows(0, 1, 25), rows(1, 30)

    assert paired_test(one[::-1], other) == paired_test(one, other[::-1]) == paired_test(one, other)


def test_a_label_that_nobody_had_and_one_predicts_counts() -> None:
    odd = rows()
    odd[0] = odd[0] | {"y_pred": "a third"}

    told = paired_test(odd, rows())

    assert isinstance(told, dict)
    assert (told["only_a_right"], told["only_b_right"]) == (0, 1)
    # Where the post is not drawn, as in one draw of three, the two are as good.
    assert told["macro_f1"][0] == 0 < told["macro_f1"][1]


@pytest.mark.parametrize(
    ("a", "b", "sentence"),
    [
        ([], rows(), "not both were evaluated"),
        (rows(), [], "not both were evaluated"),
        (rows(), rows()[1:], "not evaluated on the same test posts"),
        (rows(), [row | {"y_true": "fruit"} for row in rows()], "not evaluated on the same test posts"),
    ],
    ids=["A has none", "B has none", "a post less", "other labels"],
)
def test_answers_to_other_posts_are_not_paired(a: Rows, b: Rows, sentence: str) -> None:
    told = paired_test(a, b)

    assert isinstance(told, str)
    assert sentence in told
    assert describe_paired_test(told) == told


def test_in_words_each_end_has_its_sign() -> None:
    said = describe_paired_test(
        {"posts": 1234, "only_a_right": 10, "only_b_right": 2, "p": 0.0386, "macro_f1": [-0.1234, 0.00567]}
    )

    assert said == (
        "Of 1,234 test posts 10 only A gets right, 2 only B (McNemar's p = 0.039). "
        "B's macro F1 less A's: -0.1234 to +0.0057 (95% interval)."
    )
