"""The history of aliases: every move is kept, in order, whatever happens at the same time or to the alias."""

import re
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipeline.cli import UserError
from pipeline.registry import history, versions
from pipeline.registry.history import AliasChange
from pipeline.tracking import store
from tests.challenge import challenge

MODEL = "fruits"


@pytest.fixture
def client(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """A new store with five versions of a model."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    client, _ = store.connect("tests")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    client.create_registered_model(MODEL)
    for _ in range(5):
        client.create_model_version(MODEL, "somewhere", await_creation_for=0)
    return client


def promote(client: MlflowClient, after: str, **more) -> None:
    made, before = history.alias_state(client, MODEL, "champion")
    history.record_change(client, MODEL, AliasChange("champion", len(made) + 1, "promote", before, after, **more))


def rollback(client: MlflowClient) -> str:
    made, now = history.alias_state(client, MODEL, "champion")
    before = history.previous_versions(made, now)[0]
    history.record_change(client, MODEL, AliasChange("champion", len(made) + 1, "rollback", now, before))
    return before


def holder(client: MlflowClient) -> str | None:
    return versions.read_aliases(client, MODEL).get("champion")


def test_a_move_moves_the_alias_and_is_kept_with_who_and_when(client: MlflowClient) -> None:
    promote(client, "2", figures={"macro_f1": 0.5}, reason="größer, лучше")

    (move,) = history.alias_changes(client, MODEL)
    assert holder(client) == "2"
    assert (move.alias, move.number, move.before, move.after) == ("champion", 1, None, "2")
    assert (move.figures, move.reason) == ({"macro_f1": 0.5}, "größer, лучше")
    assert move.who
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", move.at)


def test_of_many_that_make_the_same_move_at_once_one_does(client: MlflowClient, tmp_path: Path) -> None:
    promote(client, "1")

    said = challenge(MODEL, ["2", "3", "4", "5"], tmp_path, {"MLFLOW_TRACKING_URI": store.tracking_uri()})

    assert sorted(said) == ["promoted", "too late", "too late", "too late"]
    winner = str(said.index("promoted") + 2)
    assert holder(client) == winner
    assert [move.after for move in history.alias_changes(client, MODEL)] == ["1", winner]


def test_aliases_have_histories_of_their_own(client: MlflowClient) -> None:
    promote(client, "1")
    history.record_change(client, MODEL, AliasChange("staging", 1, "promote", None, "2"))

    assert versions.read_aliases(client, MODEL).get("staging") == "2"
    assert [move.alias for move in history.alias_changes(client, MODEL)] == ["champion", "staging"]
    assert len(history.alias_state(client, MODEL, "champion")[0]) == 1


def test_rollbacks_go_back_the_way_it_came(client: MlflowClient) -> None:
    for version in ("1", "2", "3", "1"):
        promote(client, version)

    assert [rollback(client) for _ in range(3)] == ["3", "2", "1"]
    made, now = history.alias_state(client, MODEL, "champion")
    assert (now, history.previous_versions(made, now)) == ("1", [])
    promote(client, "5")
    assert rollback(client) == "1"


def test_a_rollback_of_an_alias_moved_by_hand_goes_to_where_it_was_moved(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("1", "3"):
        promote(client, version)
    client.set_registered_model_alias(MODEL, "champion", "4")
    monkeypatch.setattr(history, "SETTLING", 0)
    promote(client, "2")

    assert rollback(client) == "4"
    assert rollback(client) == "3"


def test_a_move_that_broke_off_before_the_alias_was_moved_is_no_part_of_the_way_back(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(client, "1")
    promote(client, "2")
    client.set_registered_model_alias(MODEL, "champion", "1")  # as if the last move had ended half-way

    (sentence,) = history.drifted_aliases(history.alias_changes(client, MODEL), versions.read_aliases(client, MODEL))
    assert sentence.startswith("champion is at version 1, and the last move recorded left it at version 2")

    monkeypatch.setattr(history, "SETTLING", 0)
    promote(client, "3")
    assert rollback(client) == "1"


def test_a_move_too_long_for_mlflow_is_refused_and_nothing_is_broken(client: MlflowClient) -> None:
    with pytest.raises(UserError, match="shorten the reason"):
        promote(client, "1", reason="x" * 6000)

    assert holder(client) is None
    promote(client, "1", reason="ё" * 1000)
    assert history.alias_changes(client, MODEL)[0].reason == "ё" * 1000
    assert history.drifted_aliases(history.alias_changes(client, MODEL), versions.read_aliases(client, MODEL)) == []


def test_the_same_move_told_twice_is_made_once(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the answer to the first was lost on its way."""
    promote(client, "1")
    kept = history.alias_changes(client, MODEL)
    monkeypatch.setattr(history, "datetime", Stopped(kept[0].at))

    history.record_change(client, MODEL, AliasChange("champion", 1, "promote", None, "1"))

    assert history.alias_changes(client, MODEL) == kept


class Stopped:
    """A clock that stands still."""

    def __init__(self, at: str) -> None:
        self.at = at

    def now(self, _) -> "Stopped":
        return self

    def isoformat(self, timespec: str) -> str:
        return self.at
