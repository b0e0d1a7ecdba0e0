"""Compare a run with the champion, for the report page."""

from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run

from pipeline.cli import UserError
from pipeline.registry import versions
from pipeline.tracking import artifacts, compare

METRICS = ("accuracy", "macro_f1", "log_loss", "ece")


def compare_with_champion(client: MlflowClient, model_name: str, run: Run) -> tuple[dict[str, Any] | None, str]:
    """The champion's `name` and test `metrics`, None if it is this run or there is none; and a sentence.

    A champion that cannot be read is reported in the sentence: errors of another result must not fail this one.
    """
    try:
        number = versions.read_aliases(client, model_name).get(versions.CHAMPION)
        if not number:
            return None, "There is no champion yet."
        version = versions.find_version(client, model_name, number)
        if version.run_id == run.info.run_id:
            return None, f"This is the champion: version {number}."
        champion = versions.run_of_version(client, version)
        theirs, ours = (artifacts.read_predictions(client, each, "classifier") for each in (champion, run))
    except UserError as error:
        return None, f"The champion cannot be compared: {error}."
    test_metrics = {name: champion.data.metrics.get(f"test/{name}") for name in METRICS}
    row = {"name": f"champion, version {number}", "metrics": {n: v for n, v in test_metrics.items() if v is not None}}
    return row, f"Champion: version {number}. {describe_test(compare.paired_test(theirs, ours))}"


def describe_test(test: dict[str, Any] | str) -> str:
    """A sentence on the paired test of the champion (A) and this run (B)."""
    if isinstance(test, str):
        return test
    low, high = test["macro_f1_difference_interval"]
    return (
        f"Difference in macro F1, this run - champion: {low:+.4f} to {high:+.4f} (95% confidence interval); "
        f"{test['only_b_correct']:,} examples only this run classifies correctly, {test['only_a_correct']:,} only the "
        f"champion (McNemar's test, p = {test['p_value']:.2g})."
    )
