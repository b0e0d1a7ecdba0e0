"""What a person sees in a browser: the page of a result, and MLflow's pages of it."""

import csv
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

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Run
from playwright.sync_api import Browser, FrameLocator, Locator, Page, expect

from pipeline.report import page as report
from pipeline.report.card import NAMES
from tests.browser import DESKTOP, PHONE, Visit, chromium, installed
from tests.repository import ROOT, run, runs, store
from tests.servers import free_port, is_healthy, wait_until, without_mlflow

pytestmark = pytest.mark.skipif(not installed(), reason="Chromium is not installed")

MODEL = "text-classification"


def is_mistake(post: dict[str, Any]) -> bool:
    return post["y_true"] != post["y_pred"]


KINDS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "mistakes": is_mistake,
    "only the network is right, not the baseline": lambda post: post["network"] == "right" != post["baseline"],
    "only the baseline is right, not the network": lambda post: post["baseline"] == "right" != post["network"],
    "some that it gets right": lambda post: not is_mistake(post),
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


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", [pytest.param(DESKTOP, id="desktop"), pytest.param(PHONE, id="phone")])
def test_the_page_of_a_result_needs_no_other_file_and_fits_the_screen(
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
    for section in ("#fails", "#sure", "#learned"):
        pictures = page.locator(f"{section} figure svg").all()
        assert pictures
        for picture in pictures:
            box = picture.bounding_box()
            assert box
            assert box["width"] > 300
            assert box["height"] > 100
    text, ground = colour(page.locator("body"), "color"), colour(page.locator("body"), "backgroundColor")
    words = colour(page.locator("#sure svg text").first, "fill")
    bright = {"light": [ground], "dark": [text, words]}[scheme]
    dark = {"light": [text, words], "dark": [ground]}[scheme]
    assert min(map(brightness, bright)) > 200
    assert max(map(brightness, dark)) < 50


def test_the_page_shows_the_figures_of_the_result(first_result: Path, visit: Callable[..., Visit]) -> None:
    page, figures = visit(first_result / "reports/report.html").page, read(first_result, "metrics")

    for model, name in NAMES.items():
        cells = page.locator("#good tbody tr").filter(has_text=name).get_by_role("cell").all_inner_texts()
        shown = [cell.split()[0] for cell in cells if cell[:1].isdigit()]
        assert shown == [f"{figures[model][each]:.4f}" for each in ("accuracy", "macro_f1", "log_loss", "ece")]
    expect(page.get_by_text(f"judged on {figures['posts']} test posts")).to_be_visible()


@pytest.mark.parametrize("screen", [pytest.param(DESKTOP, id="desktop"), pytest.param(PHONE, id="phone")])
def test_the_posts_shown_are_those_chosen_by_kind_and_labels(
    first_result: Path, visit: Callable[..., Visit], keep: Callable[..., None], screen: tuple[int, int]
) -> None:
    page, posts = visit(first_result / "reports/report.html", screen).page, read(first_result, "posts")["posts"]
    labels = [row["label"] for row in read(first_result, "metrics")["labels"]]
    seen: set[int] = set()

    def assert_shown(kind: str, y_true: str = "", y_pred: str = "") -> None:
        expected = [
            post["id"]
            for post in posts
            if KINDS[kind](post) and y_true in ("", post["y_true"]) and y_pred in ("", post["y_pred"])
        ]
        assert page.locator("#posts tbody tr:visible .id").all_inner_texts() == expected
        count = "1 post" if len(expected) == 1 else f"{len(expected)} posts"
        assert page.get_by_role("status").inner_text() == count
        seen.add(len(expected))

    assert_shown("mistakes")
    wrong = next(filter(is_mistake, posts))
    alone = [("", label) for label in labels] + [(label, "") for label in labels]
    for y_true, y_pred in [*alone, (wrong["y_true"], wrong["y_pred"]), (labels[0], labels[0]), ("", "")]:
        choice(page, "y_true").select_option(y_true)
        choice(page, "y_pred").select_option(y_pred)
        assert_shown("mistakes", y_true, y_pred)
    for kind in KINDS:
        choice(page, "posts").select_option(kind)
        assert_shown(kind)
    assert len(seen) > 2
    page.get_by_role("link", name="Its mistakes").click()
    choice(page, "y_true").select_option(labels[0])
    assert_shown(kind, labels[0])
    expect(page.get_by_role("heading", name="Its mistakes")).to_be_in_viewport()
    keep(page, f"filtered-{screen[0]}")


def test_the_words_that_moved_an_answer_are_marked(first_result: Path, visit: Callable[..., Visit]) -> None:
    page = visit(first_result / "reports/report.html").page
    post = next(
        post
        for post in read(first_result, "posts")["posts"]
        if {share > 0 for *_, share in post["words"]} == {True, False}
    )

    choice(page, "posts").select_option("mistakes" if is_mistake(post) else "some that it gets right")

    marks = page.locator("#posts tbody tr").filter(has_text=post["id"]).locator("mark")
    moved = [(post["text"][begin:end], share) for begin, end, share in post["words"] if end <= report.TEXT]
    assert marks.all_text_contents() == [word for word, _ in moved]
    for mark, (_, share) in zip(marks.all(), moved, strict=True):
        expect(mark).to_be_visible()
        red, green, _, opacity = colour(mark, "backgroundColor")
        assert (green > red) == (share > 0)
        assert opacity > 0.1


def test_a_post_that_is_a_program_is_shown_and_not_run(
    first_result: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    visit: Callable[..., Visit],
    keep: Callable[..., None],
) -> None:
    shutil.copytree(first_result / "reports", tmp_path / "reports")
    monkeypatch.chdir(tmp_path)
    posts = read(tmp_path, "posts")
    changed = next(post for post in posts["posts"] if is_mistake(post))
    changed |= {"text": HOSTILE, "words": [[6, 13, 1.0], [14, 20, -0.5]], "id": HOSTILE}
    posts["alike"][0]["one"]["text"] = HOSTILE
    Path("reports/explanations.json").write_text(json.dumps(posts))

    report.write_page(Path("page.html"), [("from", HOSTILE)], [(HOSTILE, HOSTILE)], None, HOSTILE)

    visited = visit(tmp_path / "page.html")
    page = visited.page
    page.locator("#mistakes").scroll_into_view_if_needed()
    keep(page, "hostile")
    assert page.evaluate("window.hacked === undefined")
    assert page.locator("script").count() == 1
    assert visited.asked == [(tmp_path / "page.html").as_uri()]
    assert visited.complaints == []
    page.get_by_text("All parameters").click()
    for place in ("#good > p", "#mistakes .text div", "#mistakes .id", "#alike .text div", "dd", "dt code", "dd code"):
        expect(page.locator(place).filter(has_text=HOSTILE).first).to_be_visible()
    assert page.locator("mark.against").filter(has_text="window").count() == 1


def test_mlflow_lists_the_run_and_shows_its_figures(
    repository: Path, address: str, page: Page, result: Run, keep: Callable[..., None]
) -> None:
    figures = read(repository, "metrics")["classifier"]

    page.goto(address)

    link = page.get_by_role("grid").get_by_role("link", name=result.info.run_name)
    expect(link).to_be_visible()
    for name in ("accuracy", "macro_f1"):
        cells = page.locator(f'[role=gridcell][col-id*="test_{name}"]:not([col-id*="baseline"])')
        expect(cells.filter(has_text=in_javascript(figures[name]))).to_be_visible()
    keep(page, "mlflow-runs")

    link.click()

    expect(page.get_by_role("heading", name=result.info.run_name)).to_be_visible()
    for name, value in figures.items():
        row = page.get_by_role("row").filter(has=page.get_by_role("link", name=f"test_{name}", exact=True))
        expect(row.get_by_role("cell", name=in_javascript(value), exact=True)).to_be_visible()
    about = page.get_by_role("row", name="the classifier")
    expect(about.get_by_role("cell", name=f"{figures['accuracy']:.4f}").first).to_be_visible()
    keep(page, "mlflow-run")


@pytest.mark.parametrize("path", ["plots/reliability.svg", "classifier/confusion_matrix.svg"])
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
    assert [cell.split()[0] for cell in shown.get_by_role("columnheader").all_inner_texts()] == list(rows[0])
    for row in rows[:5]:
        cells = shown.get_by_role("row").filter(has_text=row["id"]).first.get_by_role("cell").all_inner_texts()
        assert cells[:3] == [row["id"], row["y_true"], row["y_pred"]]
    keep(page, "mlflow-predictions")


def test_mlflow_shows_the_page_of_the_result_whose_choices_work_there(
    repository: Path, page: Page, artifact: Callable[[str], Locator], keep: Callable[..., None]
) -> None:
    artifact("report.html")
    shown = page.frame_locator("iframe")

    headline = re.findall("<h1>(.+?)</h1>", (repository / "reports/report.html").read_text())
    expect(shown.get_by_role("heading", level=1)).to_have_text(headline)
    keep(page, "mlflow-report")
    shown.get_by_role("link", name="Its mistakes").click()
    expect(shown.get_by_role("heading", name="Its mistakes")).to_be_in_viewport()
    posts, kind = read(repository, "posts")["posts"], "some that it gets right"
    count = sum(map(KINDS[kind], posts))
    assert count != sum(map(is_mistake, posts))
    choice(shown, "posts").select_option(kind)
    expect(shown.get_by_role("status")).to_have_text(f"{count} posts")
    expect(shown.locator("#posts tbody tr").filter(visible=True)).to_have_count(count)
    keep(page, "mlflow-report-filtered")


def test_mlflow_draws_the_curves_of_two_runs_over_each_other(
    repository: Path, address: str, page: Page, result: Run, keep: Callable[..., None]
) -> None:
    client = MlflowClient(store(repository))
    another = client.create_run(result.info.experiment_id, run_name="another one").info.run_id
    for name in ("loss", "val_log_loss"):
        curve = client.get_metric_history(result.info.run_id, name)
        points = [Metric(point.key, point.value + 0.1, point.timestamp, point.step) for point in curve]
        client.log_batch(another, points)

    page.goto(address)
    page.locator("label").filter(has=page.locator("input[value=CHART]")).click()
    page.get_by_role("searchbox", name="Search metric charts").fill("val_log_loss")

    for name in (result.info.run_name, "another one"):
        expect(page.get_by_text(f"{name} (val_log_loss)")).to_be_visible()
    # Each is drawn a second time without its points, for the smoothing that is off.
    curves = page.locator(".scatterlayer .trace:has(path.point) path.js-line")
    expect(curves).to_have_count(2)
    assert len({each.get_attribute("d") for each in curves.all()}) == 2
    keep(page, "mlflow-curves")


def test_mlflow_shows_a_version_of_the_model_with_its_model_card(
    repository: Path, address: str, page: Page, keep: Callable[..., None]
) -> None:
    said = run(repository, sys.executable, "-m", "pipeline.registry", "register")
    assert said == f"{MODEL}: version 1\n"
    card = (repository / "reports/model_card.md").read_text()

    page.goto(f"{address.partition('#')[0]}#/models/{MODEL}")

    expect(page.get_by_role("heading", name=MODEL)).to_be_visible()
    keep(page, "mlflow-model")

    page.get_by_role("link", name="Version 1").click()

    expect(page.get_by_role("heading", name="Version 1")).to_be_visible()
    for heading in re.findall("^## (.+)$", card, re.MULTILINE):
        expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    accuracy = read(repository, "metrics")["classifier"]["accuracy"]
    expect(page.get_by_role("row", name="the classifier").get_by_role("cell").nth(1)).to_contain_text(f"{accuracy:.4f}")
    keep(page, "mlflow-version")
