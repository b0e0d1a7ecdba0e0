"""The history of aliases: every change is kept, in order, whatever happens at the same time or to the alias."""

import re
from pathlib import Path

import pytest
from mlflow import MlflowClient

from pipeline.cli import UserError
from pipeline.registry import history, versions
from pipeline.registry.history import AliasChange
from pipeline.tracking import store
from tests.challenge import challenge
from tests.repository import track_params

MODEL = "fruits"


@pytest.fixture
def client(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    """A new store with five versions of a model."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    client, _ = store.connect(track_params("tests"))
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


def test_change_sets_the_alias_and_is_kept_with_user_and_time(client: MlflowClient) -> None:
    promote(client, "2", metrics={"macro_f1": 0.5}, reason="größer, лучше")

    (change,) = history.alias_changes(client, MODEL)
    assert holder(client) == "2"
    assert (change.alias, change.number, change.before, change.after) == ("champion", 1, None, "2")
    assert (change.metrics, change.reason) == ({"macro_f1": 0.5}, "größer, лучше")
    assert change.user
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", change.time)


def test_of_several_changes_at_once_one_is_made(client: MlflowClient, tmp_path: Path) -> None:
    promote(client, "1")

    said = challenge(MODEL, ["2", "3", "4", "5"], tmp_path, {"MLFLOW_TRACKING_URI": store.tracking_uri()})

    assert sorted(said) == ["promoted", "too late", "too late", "too late"]
    winner = str(said.index("promoted") + 2)
    assert holder(client) == winner
    assert [change.after for change in history.alias_changes(client, MODEL)] == ["1", winner]


def test_aliases_have_histories_of_their_own(client: MlflowClient) -> None:
    promote(client, "1")
    history.record_change(client, MODEL, AliasChange("staging", 1, "promote", None, "2"))

    assert versions.read_aliases(client, MODEL).get("staging") == "2"
    assert [change.alias for change in history.alias_changes(client, MODEL)] == ["champion", "staging"]
    assert len(history.alias_state(client, MODEL, "champion")[0]) == 1


def test_rollbacks_return_to_the_previous_versions_in_order(client: MlflowClient) -> None:
    for version in ("1", "2", "3", "1"):
        promote(client, version)

    assert [rollback(client) for _ in range(3)] == ["3", "2", "1"]
    made, now = history.alias_state(client, MODEL, "champion")
    assert (now, history.previous_versions(made, now)) == ("1", [])
    promote(client, "5")
    assert rollback(client) == "1"


def test_rollback_returns_to_a_version_that_was_set_by_other_means(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("1", "3"):
        promote(client, version)
    client.set_registered_model_alias(MODEL, "champion", "4")
    monkeypatch.setattr(history, "SETTLING_SECONDS", 0)
    promote(client, "2")

    assert rollback(client) == "4"
    assert rollback(client) == "3"


def test_change_that_was_interrupted_before_the_alias_was_set_is_shown_and_never_rolled_back_to(
    client: MlflowClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    promote(client, "1")
    promote(client, "2")
    client.set_registered_model_alias(MODEL, "champion", "1")  # as if the last move had ended half-way

    (sentence,) = history.drifted_aliases(history.alias_changes(client, MODEL), versions.read_aliases(client, MODEL))
    assert sentence.startswith("champion is at version 1, but the last recorded change left it at version 2")

    monkeypatch.setattr(history, "SETTLING_SECONDS", 0)
    promote(client, "3")
    assert history.interrupted_changes(history.alias_changes(client, MODEL)) == {("champion", 2)}
    history.print_history(client, MODEL, history.alias_changes(client, MODEL))
    assert capsys.readouterr().out.count("interrupted before the alias was set") == 1
    assert rollback(client) == "1"


def test_change_too_long_for_mlflow_is_rejected_and_changes_nothing(client: MlflowClient) -> None:
    with pytest.raises(UserError, match="shorten the reason"):
        promote(client, "1", reason="x" * 6000)

    assert holder(client) is None
    promote(client, "1", reason="ё" * 1000)
    assert history.alias_changes(client, MODEL)[0].reason == "ё" * 1000
    assert history.drifted_aliases(history.alias_changes(client, MODEL), versions.read_aliases(client, MODEL)) == []


def test_same_change_logged_twice_is_made_once(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the response to the first call was lost."""
    promote(client, "1")
    kept = history.alias_changes(client, MODEL)
    monkeypatch.setattr(history, "datetime", Stopped(kept[0].time))

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
