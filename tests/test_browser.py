"""The report page and MLflow's pages of a result, in a browser."""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Run
from playwright.sync_api import Browser, FrameLocator, Locator, Page, expect

from pipeline.report import page as report
from pipeline.report.summary import MODEL_NAMES
from tests.browser import DESKTOP, PHONE, Visit, chromium, installed
from tests.repository import ROOT, run, runs, store
from tests.servers import free_port, is_healthy, service, wait_until, without_mlflow

pytestmark = [pytest.mark.browser, pytest.mark.skipif(not installed(), reason="Chromium is not installed")]

MODEL = "text-classification"


def is_error(example: dict[str, Any]) -> bool:
    return example["y_true"] != example["y_pred"]


# The kinds of examples that the report page can show
KINDS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "errors": is_error,
    "only the network is correct, not the baseline": lambda each: (
        each["network_correct"] and not each["baseline_correct"]
    ),
    "only the baseline is correct, not the network": lambda each: (
        each["baseline_correct"] and not each["network_correct"]
    ),
    "some correct predictions": lambda each: not is_error(each),
}
HOSTILE = '</div><script>window.hacked = 1</script><img src="x" onerror="window.hacked = 2">'


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Visit]]:
    """`visit(path, PHONE, "dark")` opens a file as a screen of that size shows it."""
    contexts = []

    def look(path: Path, screen: tuple[int, int] = DESKTOP, scheme: Any = "light") -> Visit:
        size: Any = dict(zip(("width", "height"), screen, strict=True))
        contexts.append(browser.new_context(viewport=size, color_scheme=scheme))
        opened = Visit(contexts[-1])
        opened.page.goto(path.as_uri())
        return opened

    yield look
    for context in contexts:
        context.close()


@pytest.fixture
def keep(tmp_path: Path) -> Callable[..., None]:
    """`keep(page, "name")` keeps a picture of what is seen, in the folder that SCREENSHOTS names or the test's own."""
    folder = ROOT / (os.environ.get("SCREENSHOTS") or tmp_path)

    def picture(page: Page, name: str, whole: bool = False) -> None:
        page.screenshot(path=folder / f"{name}.png", full_page=whole)

    return picture


@pytest.fixture(scope="module")
def address(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What `python -m pipeline.tracking ui` says of where the runs are, while MLflow's pages are served there."""
    port, log = free_port(), tmp_path_factory.mktemp("ui") / "said.txt"
    command = [sys.executable, "-m", "pipeline.tracking", "ui", "--port", str(port)]
    env = without_mlflow()
    with log.open("w") as file:
        # A session of its own, so that its worker ends with it.
        server = subprocess.Popen(command, cwd=repository, env=env, stdout=file, stderr=file, start_new_session=True)
    try:
        wait_until(lambda: is_healthy(port), server, "MLflow's page", 90)
        (said,) = re.findall(r"^The runs: (\S+)$", log.read_text(), re.MULTILINE)
        yield said
    except BaseException:
        print(log.read_text())
        raise
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@pytest.fixture(scope="module")
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A page for all that is looked at in MLflow, as its program takes a second to load."""
    context = browser.new_context(viewport={"width": 1700, "height": 1000})
    yield context.new_page()
    context.close()


@pytest.fixture(scope="module")
def result(repository: Path) -> Run:
    """The run of the repository's first result."""
    return runs(repository)[-1]


@pytest.fixture
def artifact(page: Page, address: str, result: Run) -> Callable[[str], Locator]:
    """`artifact("plots/reliability.svg")` opens one of the run's files in MLflow; gives the part that shows it."""

    def choose(path: str) -> Locator:
        folder, _, name = path.rpartition("/")
        files = page.get_by_role("main").get_by_role("listitem")
        page.goto(
            f"{address.partition('#')[0]}#/experiments/{result.info.experiment_id}/runs/{result.info.run_id}/artifacts"
        )
        expect(files.get_by_text("metrics.json", exact=True)).to_be_visible()
        if folder and not files.get_by_text(name, exact=True).is_visible():
            files.get_by_text(folder, exact=True).click()
        files.get_by_text(name, exact=True).click()
        return page.get_by_role("main")

    return choose


def read(repository: Path, name: str) -> Any:
    return json.loads((repository / f"reports/{name}.json").read_text())


def colour(place: Locator, name: str) -> tuple[float, ...]:
    """Red, green and blue, 0 to 255, and the opacity where it is not whole."""
    value = place.evaluate("(element, name) => getComputedStyle(element)[name]", name)
    return tuple(float(part) for part in re.findall(r"[\d.]+", value))


def choice(page: Page | FrameLocator, name: str) -> Locator:
    return page.get_by_role("combobox", name=name, exact=True)


def brightness(colour: tuple[float, ...]) -> float:
    return sum(colour[:3]) / 3


def in_javascript(number: float) -> str:
    return f"{number:.15g}"


# The report page


SCREENS = [pytest.param(DESKTOP, id="desktop"), pytest.param(PHONE, id="phone")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
def test_page_loads_no_other_file_and_fits_the_screen(
    first_result: Path,
    visit: Callable[..., Visit],
    keep: Callable[..., None],
    screen: tuple[int, int],
    scheme: str,
) -> None:
    path = first_result / "reports/report.html"

    visited = visit(path, screen, scheme)

    page = visited.page
    keep(page, f"report-{screen[0]}-{scheme}", whole=True)
    assert visited.asked == [path.as_uri()]
    assert visited.complaints == []
    assert page.evaluate("document.documentElement.scrollWidth") == screen[0]
    for section in ("#calibration", "#per-class", "#slices", "#training"):
        charts = page.locator(f"{section} figure svg").all()
        assert charts
        for chart in charts:
            box = chart.bounding_box()
            assert box
            assert box["width"] > 300
            assert box["height"] > 100
    text, background = colour(page.locator("body"), "color"), colour(page.locator("body"), "backgroundColor")
    chart_text = colour(page.locator("#calibration svg text").first, "fill")
    bright = {"light": [background], "dark": [text, chart_text]}[scheme]
    dark = {"light": [text, chart_text], "dark": [background]}[scheme]
    assert min(map(brightness, bright)) > 200
    assert max(map(brightness, dark)) < 50


@pytest.mark.parametrize("screen", SCREENS)
def test_verdict_and_errors_are_seen_early(
    first_result: Path, visit: Callable[..., Visit], screen: tuple[int, int]
) -> None:
    page = visit(first_result / "reports/report.html", screen).page

    expect(page.locator(".verdict")).to_be_in_viewport()
    errors, calibration = (page.locator(f"#{section}").bounding_box() for section in ("errors", "calibration"))
    assert errors
    assert calibration
    assert errors["y"] < 1.5 * screen[1]
    # Long lists of errors open as one asks for more: what follows is not far below.
    assert calibration["y"] < 8 * screen[1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("section", ["summary", "per-class", "training"])
def test_table_or_chart_that_scrolls_has_a_shadow_at_the_edge_where_there_is_more(
    first_result: Path, visit: Callable[..., Visit], keep: Callable[..., None], section: str, scheme: str
) -> None:
    page = visit(first_result / "reports/report.html", PHONE, scheme).page
    scroller = page.locator(f"#{section} .scroll").first
    assert scroller.evaluate("element => element.scrollWidth > element.clientWidth + 20")
    # The colour that the edge has without a shadow
    scroller.evaluate("element => { element.style.color = 'var(--cover)' }")
    cover = brightness(colour(scroller, "color"))
    scroller.evaluate("element => { element.style.color = '' }")

    def has_shadow(column: int) -> bool:
        """Whether most pixels of this column differ from the colour without a shadow."""
        image = matplotlib.image.imread(io.BytesIO(scroller.screenshot()), format="png")
        pixels = 255 * image[:, column, :3].mean(axis=1)
        return bool((abs(pixels - cover) > 15).mean() > 0.5)

    at_start = has_shadow(1), has_shadow(-2)
    scroller.evaluate("element => element.scrollBy(10000, 0)")
    at_end = has_shadow(1), has_shadow(-2)
    keep(page, f"scrolled-{section}-{scheme}")

    assert (at_start, at_end) == ((False, True), (True, False))


def test_page_shows_the_metrics_of_the_result(first_result: Path, visit: Callable[..., Visit]) -> None:
    page, metrics = visit(first_result / "reports/report.html").page, read(first_result, "metrics")

    for model, name in MODEL_NAMES.items():
        row = page.locator("#summary tbody tr").filter(has=page.get_by_role("rowheader", name=name, exact=True))
        shown = [cell.split()[0] for cell in row.get_by_role("cell").all_inner_texts()]
        assert shown == [f"{metrics[model][metric]:.4f}" for metric in ("accuracy", "macro_f1", "log_loss", "ece")]
    expect(page.get_by_text(f"{metrics['examples']} held-out test examples")).to_be_visible()


def show_all(page: Page | FrameLocator) -> None:
    """Click the button that shows more examples until all are shown."""
    more = page.locator("#more")
    while more.is_visible():
        more.click()


@pytest.mark.parametrize("screen", SCREENS)
def test_examples_are_filtered_by_kind_and_labels(
    first_result: Path, visit: Callable[..., Visit], keep: Callable[..., None], screen: tuple[int, int]
) -> None:
    page = visit(first_result / "reports/report.html", screen).page
    examples = read(first_result, "explanations")["examples"]
    labels = [row["label"] for row in read(first_result, "metrics")["per_class"]]
    counts: set[int] = set()

    def assert_shown(kind: str, y_true: str = "", y_pred: str = "") -> None:
        expected = [
            example["id"]
            for example in examples
            if KINDS[kind](example) and y_true in ("", example["y_true"]) and y_pred in ("", example["y_pred"])
        ]
        shown = page.locator("#examples tbody tr:visible .id")
        assert shown.all_inner_texts() == expected[:10]
        show_all(page)
        assert shown.all_inner_texts() == expected
        count = "1 example" if len(expected) == 1 else f"{len(expected)} examples"
        assert page.get_by_role("status").inner_text() == count
        counts.add(len(expected))

    assert_shown("errors")
    error = next(filter(is_error, examples))
    single = [("", label) for label in labels] + [(label, "") for label in labels]
    for y_true, y_pred in [*single, (error["y_true"], error["y_pred"]), (labels[0], labels[0]), ("", "")]:
        choice(page, "true label").select_option(y_true)
        choice(page, "predicted label").select_option(y_pred)
        assert_shown("errors", y_true, y_pred)
    for kind in KINDS:
        choice(page, "examples").select_option(kind)
        assert_shown(kind)
    assert len(counts) > 2
    page.get_by_role("link", name="Errors", exact=True).click()
    expect(page.get_by_role("heading", name="Errors", exact=True)).to_be_in_viewport()
    choice(page, "true label").select_option(labels[0])
    assert_shown(kind, labels[0])
    keep(page, f"filtered-{screen[0]}")


def test_words_with_attributions_are_marked(first_result: Path, visit: Callable[..., Visit]) -> None:
    page = visit(first_result / "reports/report.html").page
    example = next(
        example
        for example in read(first_result, "explanations")["examples"]
        if {value > 0 for *_, value in example["attributions"]} == {True, False}
    )

    choice(page, "examples").select_option("errors" if is_error(example) else "some correct predictions")
    show_all(page)

    marks = page.locator("#examples tbody tr").filter(has_text=example["id"]).locator("mark")
    words = [
        (example["text"][start:end], value) for start, end, value in example["attributions"] if end <= report.MAX_TEXT
    ]
    assert marks.all_text_contents() == [word for word, _ in words]
    for mark, (_, value) in zip(marks.all(), words, strict=True):
        expect(mark).to_be_visible()
        red, green, _, opacity = colour(mark, "backgroundColor")
        assert (green > red) == (value > 0)
        assert opacity > 0.1


def test_text_that_is_a_program_is_shown_and_not_run(
    first_result: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    visit: Callable[..., Visit],
    keep: Callable[..., None],
) -> None:
    shutil.copytree(first_result / "reports", tmp_path / "reports")
    monkeypatch.chdir(tmp_path)
    explanations = read(tmp_path, "explanations")
    changed = explanations["examples"][0]
    changed |= {"text": HOSTILE, "attributions": [[6, 13, 1.0], [14, 20, -0.5]], "id": HOSTILE}
    explanations["similar_pairs"][0]["first"]["text"] = HOSTILE
    Path("reports/explanations.json").write_text(json.dumps(explanations))

    report.write_page(Path("page.html"), HOSTILE, HOSTILE, [("from", HOSTILE)], [(HOSTILE, HOSTILE)], None, HOSTILE)

    visited = visit(tmp_path / "page.html")
    page = visited.page
    page.locator("#errors").scroll_into_view_if_needed()
    keep(page, "hostile")
    assert page.evaluate("window.hacked === undefined")
    assert page.locator("script").count() == 1
    assert visited.asked == [(tmp_path / "page.html").as_uri()]
    assert visited.complaints == []
    choice(page, "examples").select_option("errors" if is_error(changed) else "some correct predictions")
    show_all(page)
    page.get_by_text("All parameters").click()
    page.get_by_text("Similar test examples").click()
    of_examples = ("#examples .text div", "#examples .id", "#similar .text div")
    for place in ("h1", "#summary > p", *of_examples, "dd", "dt code", "dd code"):
        expect(page.locator(place).filter(has_text=HOSTILE).first).to_be_visible()
    assert page.locator("mark.against").filter(has_text="window").count() == 1


# MLflow's pages


def test_mlflow_lists_the_run_and_shows_its_metrics(
    repository: Path, address: str, page: Page, result: Run, keep: Callable[..., None]
) -> None:
    metrics = read(repository, "metrics")["classifier"]

    page.goto(address)

    link = page.get_by_role("grid").get_by_role("link", name=result.info.run_name)
    expect(link).to_be_visible()
    for name in ("accuracy", "macro_f1"):
        cells = page.locator(f'[role=gridcell][col-id*="test/{name}"]')
        expect(cells.filter(has_text=in_javascript(metrics[name]))).to_be_visible()
    keep(page, "mlflow-runs")

    link.click()

    expect(page.get_by_role("heading", name=result.info.run_name)).to_be_visible()
    for name, value in metrics.items():
        row = page.get_by_role("row").filter(has=page.get_by_role("link", name=f"test/{name}", exact=True))
        expect(row.get_by_role("cell", name=in_javascript(value), exact=True)).to_be_visible()
    note = page.get_by_role("row", name="classifier ")
    expect(note.get_by_role("cell", name=f"{metrics['accuracy']:.4f}").first).to_be_visible()
    keep(page, "mlflow-run")


@pytest.mark.parametrize("path", ["plots/reliability.svg", "plots/confusion_matrix.svg"])
def test_mlflow_shows_a_plot_of_the_run(
    page: Page, artifact: Callable[[str], Locator], keep: Callable[..., None], path: str
) -> None:
    shown = artifact(path).get_by_role("img", name=path)

    expect(shown).to_be_visible()
    expect(shown).to_have_js_property("complete", True)
    assert shown.evaluate("image => Math.min(image.naturalWidth, image.clientWidth)") > 300
    keep(page, f"mlflow-{Path(path).stem}")


def test_mlflow_shows_the_classification_report_of_the_run(
    repository: Path, page: Page, artifact: Callable[[str], Locator], keep: Callable[..., None]
) -> None:
    path = "classifier/classification_report.txt"

    shown = artifact(path)

    expect(shown.get_by_role("code")).to_have_text((repository / "reports/evaluation" / path).read_text())
    keep(page, "mlflow-classification_report")


def test_mlflow_shows_the_predictions_of_the_run_as_a_table(
    repository: Path, page: Page, artifact: Callable[[str], Locator], keep: Callable[..., None]
) -> None:
    path = "classifier/predictions.csv"
    with (repository / "reports/evaluation" / path).open(newline="") as file:
        rows = list(csv.DictReader(file))

    shown = artifact(path)

    expect(shown.get_by_text(f"first {len(rows)} rows")).to_be_visible()
    expect(shown.get_by_role("columnheader")).to_have_text([re.compile(rf"^{name}\b") for name in rows[0]])
    for row in rows[:5]:
        cells = shown.get_by_role("row").filter(has_text=row["id"]).first.get_by_role("cell")
        for number, name in enumerate(("id", "y_true", "y_pred")):
            expect(cells.nth(number)).to_have_text(row[name])
    keep(page, "mlflow-predictions")


def test_mlflow_shows_the_page_of_the_result_whose_choices_work_there(
    repository: Path, page: Page, artifact: Callable[[str], Locator], keep: Callable[..., None]
) -> None:
    artifact("report.html")
    shown = page.frame_locator("iframe")

    headline = re.findall("<h1>(.+?)</h1>", (repository / "reports/report.html").read_text())
    expect(shown.get_by_role("heading", level=1)).to_have_text(headline)
    keep(page, "mlflow-report")
    shown.get_by_role("link", name="Errors", exact=True).click()
    expect(shown.get_by_role("heading", name="Errors", exact=True)).to_be_in_viewport()
    examples, kind = read(repository, "explanations")["examples"], "some correct predictions"
    count = sum(map(KINDS[kind], examples))
    assert count != sum(map(is_error, examples))
    choice(shown, "examples").select_option(kind)
    expect(shown.get_by_role("status")).to_have_text(f"{count} examples")
    show_all(shown)
    expect(shown.locator("#examples tbody tr").filter(visible=True)).to_have_count(count)
    keep(page, "mlflow-report-filtered")


def test_mlflow_draws_the_curves_of_two_runs_over_each_other(
    repository: Path, address: str, page: Page, result: Run, keep: Callable[..., None]
) -> None:
    client = MlflowClient(store(repository))
    another = client.create_run(result.info.experiment_id, run_name="another one").info.run_id
    for name in ("train/loss", "val/log_loss"):
        curve = client.get_metric_history(result.info.run_id, name)
        points = [Metric(point.key, point.value + 0.1, point.timestamp, point.step) for point in curve]
        client.log_batch(another, points)

    page.goto(address)
    page.locator("label").filter(has=page.locator("input[value=CHART]")).click()
    page.get_by_role("searchbox", name="Search metric charts").fill("val/log_loss")

    for name in (result.info.run_name, "another one"):
        expect(page.get_by_text(f"{name} (val/log_loss)")).to_be_visible()
    # Each is drawn a second time without its points, for the smoothing that is off.
    curves = page.locator(".scatterlayer .trace:has(path.point) path.js-line")
    expect(curves).to_have_count(2)
    assert len({each.get_attribute("d") for each in curves.all()}) == 2
    keep(page, "mlflow-curves")


def test_mlflow_shows_a_version_of_the_model_with_its_model_card(
    repository: Path, address: str, page: Page, keep: Callable[..., None]
) -> None:
    assert run(repository, sys.executable, "-m", "pipeline.registry", "register") == f"{MODEL}: version 1\n"
    card = (repository / "reports/model_card.md").read_text()

    page.goto(f"{address.partition('#')[0]}#/models/{MODEL}")

    expect(page.get_by_role("heading", name=MODEL)).to_be_visible()
    keep(page, "mlflow-model")

    page.get_by_role("link", name="Version 1").click()

    expect(page.get_by_role("heading", name="Version 1")).to_be_visible()
    for heading in re.findall("^## (.+)$", card, re.MULTILINE):
        expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    accuracy = read(repository, "metrics")["classifier"]["accuracy"]
    expect(page.get_by_role("row", name="classifier ").get_by_role("cell").nth(1)).to_contain_text(f"{accuracy:.4f}")
    keep(page, "mlflow-version")


# The page of the service


@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_service_has_a_page_that_classifies_a_text_and_marks_its_words(
    first_result: Path, browser: Browser, keep: Callable[..., None], screen: tuple[int, int]
) -> None:
    hostile = f"how do i sort a dict by value {HOSTILE}"
    size: Any = dict(zip(("width", "height"), screen, strict=True))
    with service(first_result, "--folder", "models") as (url, _), browser.new_context(viewport=size) as context:
        visit = Visit(context)
        page = visit.page
        page.goto(url)
        page.get_by_label("Text").fill(hostile)
        page.get_by_role("button", name="Classify").click()

        expect(page.get_by_role("row")).to_have_count(4)
        expect(page.locator("mark").first).to_be_visible()
        assert page.locator("#words").inner_text() == hostile
        assert page.evaluate("document.documentElement.scrollWidth") <= screen[0]
        assert page.evaluate("window.hacked") is None
        assert {asked.removeprefix(url) for asked in visit.asked} <= {"/", "/predict", "/explain", "/favicon.ico"}
        assert [each for each in visit.complaints if "404" not in each] == []  # it has no icon
        keep(page, f"service-{screen[0]}", whole=True)

        page.get_by_label("Text").fill("   ")
        page.get_by_role("button", name="Classify").click()

        expect(page.get_by_role("alert")).to_have_text("texts: text 0 is empty")
