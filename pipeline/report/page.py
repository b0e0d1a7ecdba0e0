"""The report page of a result, `reports/report.html`: one file that needs no network, for screens of any size."""

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.files import read_json, write_text
from pipeline.metrics import MODELS
from pipeline.report.summary import MODEL_NAMES, describe_mcnemar, describe_weights

HERE = Path(__file__).parent
REPORTS = Path("reports")
CHARTS = (
    *("confusion_matrix", "precision_recall", "slices", "agreement", "reliability", "coverage"),
    *("history", "gradients"),
)
MAX_TEXT = 1500  # characters of an example
MAX_BYTES = 4_500_000  # of the page, about; charts come first, and examples as far as there is room


@dataclass(frozen=True)
class Champion:
    """The registered model that is the champion, for comparison."""

    name: str
    metrics: Mapping[str, float]  # of the test split


def write_page(
    path: Path,
    run_name: str,
    date: str,
    provenance: Sequence[tuple[str, str]],
    parameters: Sequence[tuple[str, str]],
    champion: Champion | None,
    standing: str,
) -> None:
    """Write the page from the files in `reports/`.

    `provenance` and `parameters` are names and values, `date` is that of the run, `champion` is None if there is no
    other model, and `standing` is a sentence that compares this result with the champion.
    """
    split, metrics, training, explanations = map(read_report, ("split", "metrics", "train", "explanations"))
    # Texts and labels are data: everything that is put into the page is escaped.
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    script = (HERE / "page.js").read_text(encoding="utf-8")
    charts = {name: read_chart(REPORTS / f"plots/{name}.svg") for name in CHARTS}
    rows = fitting_examples(explanations["examples"], MAX_BYTES - sum(len(chart) for chart in charts.values()))
    page = environment.get_template("page.html").render(
        title=format_title(split["corpus"]["source"], run_name, date), worsened=worsened_by_scaling(metrics),
        split=split, metrics=metrics, training=training,
        names={model: MODEL_NAMES[model] for model in MODELS if model in metrics},
        verdict=describe_weights(metrics) + describe_mcnemar(metrics["mcnemar"]), champion=champion, standing=standing,
        provenance=provenance, parameters=parameters,
        labels=[row["label"] for row in metrics["per_class"]],
        rows=rows, n_errors=explanations["errors"], n_shown=sum(row["y_true"] != row["y_pred"] for row in rows),
        similar_pairs=explanations["similar_pairs"], max_text=MAX_TEXT, value=format_value, charts=charts,
        script=Markup(script), digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )  # fmt: skip
    write_text(path, page)


def format_title(source: str, run_name: str, date: str) -> str:
    """Corpus, run and date; the corpus once, as the names that runs get by themselves begin with it."""
    return f"{run_name}, {date}" if run_name.startswith(source) else f"{source}: {run_name}, {date}"


def worsened_by_scaling(metrics: Mapping[str, Any]) -> list[str]:
    """The measures of calibration that temperature scaling made larger on the test split."""
    names = {"ece": "calibration error", "log_loss": "log loss"}
    return [name for key, name in names.items() if metrics["classifier"][key] > metrics["uncalibrated"][key]]


def read_report(name: str) -> Any:
    return read_json(REPORTS / f"{name}.json")


def fitting_examples(examples: Sequence[Mapping[str, Any]], room: int) -> list[dict[str, Any]]:
    """The examples that fit into so many bytes, with their text in pieces; the last errors are left out first."""
    fitting = {}
    errors_last = sorted(enumerate(examples), key=lambda each: each[1]["y_true"] != each[1]["y_pred"])
    for position, example in errors_last:
        pieces = list(highlight(example["text"][:MAX_TEXT], example["attributions"]))
        # `<` takes four characters in HTML, a highlighted word some fifty more; a label is repeated four times.
        room -= sum(len(Markup.escape(text).encode()) + 50 for text, _ in pieces)
        room -= 500 + 2 * len((example["y_true"] + example["y_pred"]).encode())
        if room < 0:
            break
        fitting[position] = {**example, "pieces": pieces, "is_cut": len(example["text"]) > MAX_TEXT}
    return [fitting[position] for position in sorted(fitting)]


def highlight(text: str, attributions: Sequence[tuple[int, int, float]]) -> Iterator[tuple[str, float | None]]:
    """The text in pieces: words with their share of the largest attribution, from -1 to 1, all else with None."""
    largest = max((abs(value) for _, _, value in attributions), default=1.0)
    done = 0
    for start, end, value in attributions:
        if end <= len(text):
            yield text[done:start], None
            yield text[start:end], value / largest
            done = end
    yield text[done:], None


def format_value(value: float, key: str) -> Markup:
    """A metric with four decimals, with its exact value and its key in `reports/metrics.json` as attributes."""
    return Markup('<data value="{}" data-metric="{}">{}</data>').format(value, key, f"{value:.4f}")


def read_chart(path: Path) -> Markup:
    """An SVG to be inlined: without its background, and with its text in the page's colour."""
    svg = path.read_text(encoding="utf-8")
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="background">.*?</g>', "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)
    return Markup(re.sub('style="[^"]*"', lambda style: style[0].replace("#000000", "currentColor"), svg))
