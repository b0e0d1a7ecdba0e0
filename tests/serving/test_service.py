"""The HTTP service, as a process of its own on the loopback: answers, limits, wrong input, load and its end."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import requests
from fastapi.testclient import TestClient

from pipeline.features import batches, ngram_features
from pipeline.features.tokenizer import encode_texts, fit_tokenizer
from pipeline.model import linear
from pipeline.model.classifier import Classifier
from pipeline.params.baseline import Baseline
from pipeline.serving.app import Limits, create_app
from pipeline.serving.models import from_folder
from tests.repository import ROOT, environment
from tests.servers import service

TEXTS = ["a banana", "a dict", "banana banana dict", "nothing known", "é\ud800 \x00 banana"]
LABELS = ["fruit", "pythön", "verb"]
BASELINE = Baseline(max_ngram=1, min_df=1, char_min_df=1, C=1)


@pytest.fixture(scope="module")
def folder(random_network: Callable, small: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `models/`: a random network in an ensemble with a baseline of three texts."""
    from pipeline.model import export  # it imports TensorFlow

    folder = tmp_path_factory.mktemp("served")
    models, config = folder / "models", small()
    models.mkdir()
    texts = ["a banana", "a dict", "to go", "no banana", "no dict", "to see"]
    tokenizer = fit_tokenizer(texts, "code", vocab_size=100, max_length=50)
    tokenizer.save(str(models / "tokenizer.json"))
    labels = np.array([0, 1, 2, 0, 1, 2])
    examples = batches.from_encoded(encode_texts(tokenizer, texts), labels)
    features = ngram_features.fit(examples, len(LABELS), config)
    ngram_features.save(features, models / "ngram_features.safetensors")
    linear.save(linear.fit(texts, labels, len(LABELS), BASELINE), models / "baseline.safetensors")
    feature_dim = ngram_features.transform(features, examples).shape[1]
    network = random_network(config, tokenizer.get_vocab_size(), len(LABELS), feature_dim=feature_dim)
    export.export_model(network, LABELS, config, models)
    return folder


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with service(folder, "--folder", "models") as (url, _):
        yield url


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    env = environment() | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *command], cwd=folder, env=env, capture_output=True, text=True)


def predict(url: str, texts: list, **options) -> requests.Response:
    return requests.post(f"{url}/predict", json={"texts": texts}, timeout=60, **options)


def test_answers_are_those_of_the_classifier(url: str, folder: Path) -> None:
    classifier = Classifier(folder / "models")
    expected = classifier.predict_proba(TEXTS)

    answer = predict(url, TEXTS).json()

    assert [row["label"] for row in answer["predictions"]] == [classifier.labels[row.argmax()] for row in expected]
    for row, probabilities in zip(answer["predictions"], expected, strict=True):
        assert list(row["probabilities"]) == classifier.labels
        assert list(row["probabilities"].values()) == pytest.approx(probabilities.tolist(), abs=1e-6)
    assert answer["model"] == requests.get(f"{url}/version", timeout=60).json() == {"folder": "models"}


def test_explanation_names_the_words_and_the_runner_up(url: str) -> None:
    answer = requests.post(f"{url}/explain", json={"text": "so a dict"}, timeout=60).json()

    probabilities = predict(url, ["so a dict"]).json()["predictions"][0]["probabilities"]
    assert [answer["label"], answer["runner_up"]] == sorted(LABELS, key=probabilities.__getitem__)[:0:-1]
    assert {(0, 2), (3, 4), (5, 9)} >= {(word["start"], word["end"]) for word in answer["words"]}
    assert any(abs(word["value"]) > 0.01 for word in answer["words"])


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b'{"texts": []}', 422, "texts: List should have at least 1 item"),
        (b'{"texts": ["a", null]}', 422, "texts.1: Input should be a valid string"),
        (b'{"texts": ["a", 3]}', 422, "texts.1: Input should be a valid string"),
        (b'{"texts": [NaN]}', 422, "texts.0: Input should be a valid string"),
        (b'{"texts": "a"}', 422, "texts: Input should be a valid list"),
        (b'{"texts": ["a", " \\n"]}', 422, "texts: text 1 is empty"),
        (b'{"text": "a"}', 422, "texts: Field required"),
        (b'{"texts": ["a"], "secret of a user": 1}', 422, "Extra inputs are not permitted"),
        (b"", 422, "Field required"),
        (b"[[[[", 422, "JSON decode error"),
        (b"[" * 100_000, 4, ""),
        (b"\xff\xfe", 4, ""),
        (json.dumps({"texts": ["a"] * 1001}).encode(), 413, "there are 1,001 texts; send up to 1,000 at once"),
        (json.dumps({"texts": ["a" * 4_000_001]}).encode(), 413, "the body is larger than 4,000,000 bytes"),
    ],
)
def test_wrong_input_has_a_status_of_its_own_and_a_sentence(url: str, body: bytes, status: int, detail: str) -> None:
    answer = requests.post(f"{url}/predict", data=body, headers={"Content-Type": "application/json"}, timeout=60)

    assert answer.status_code == status or answer.status_code // 100 == status
    assert detail in answer.json()["detail"]


def test_a_megabyte_of_one_word_and_a_thousand_texts_are_answered(url: str) -> None:
    assert predict(url, ["banana" * 160_000]).status_code == 200
    assert len(predict(url, ["a dict"] * 1000).json()["predictions"]) == 1000


@pytest.mark.parametrize("text", ["\ud800 a banana \x00", "🍌 banana", "nothing", "a" * 20_000])
def test_any_text_is_explained(url: str, text: str) -> None:
    answer = requests.post(f"{url}/explain", json={"text": text}, timeout=60)

    assert answer.status_code == 200
    marked = {text[word["start"] : word["end"]] for word in answer.json()["words"]}
    assert ("banana" in marked) == ("banana" in text)


@pytest.mark.parametrize("body", [{"text": " "}, {"text": "a" * 20_001}, {"text": None}, {}, {"texts": ["a"]}])
def test_text_that_cannot_be_explained_is_refused(url: str, body: dict) -> None:
    assert requests.post(f"{url}/explain", json=body, timeout=60).status_code == 422


def test_unknown_path_and_method_are_refused(url: str) -> None:
    assert requests.get(f"{url}/nowhere", timeout=60).status_code == 404
    assert requests.get(f"{url}/predict", timeout=60).status_code == 405


def test_concurrent_requests_have_their_own_answers(url: str) -> None:
    texts_of = {number: [TEXTS[(number >> bit) % len(TEXTS)] for bit in range(1 + number % 5)] for number in range(200)}
    expected = dict(zip(TEXTS, predict(url, TEXTS).json()["predictions"], strict=True))

    def ask(number: int) -> list[dict]:
        return predict(url, texts_of[number]).json()["predictions"]

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(ask, texts_of))

    for number, predictions in enumerate(answers):
        for text, prediction in zip(texts_of[number], predictions, strict=True):
            assert prediction["probabilities"] == pytest.approx(expected[text]["probabilities"], abs=1e-5)


def test_metrics_count_requests_labels_and_confidences(url: str) -> None:
    def count(name: str) -> float:
        text = requests.get(f"{url}/metrics", timeout=60).text
        (value,) = re.findall(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE) or ["0"]
        return float(value)

    label = predict(url, ["banana"]).json()["predictions"][0]["label"]
    names = [
        f'predictions_total{{label="{label}"}}',
        "confidence_count",
        'requests_total{path="/predict",status="200"}',
    ]
    before = [count(name) for name in names]
    predict(url, ["banana"] * 3)

    assert [count(name) - value for name, value in zip(names, before, strict=True)] == [3, 3, 1]


def test_client_that_sends_half_a_body_gets_a_408_and_holds_up_nobody(url: str) -> None:
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as slow:
        slow.sendall(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
        assert predict(url, ["a dict"]).status_code == 200
        assert b" 408 " in slow.recv(1000).partition(b"\r\n")[0] + b" "


@pytest.mark.parametrize(("path", "body"), [("predict", {"texts": ["a"]}), ("explain", {"text": "a"})])
def test_more_texts_than_may_wait_are_told_to_come_back(folder: Path, path: str, body: dict) -> None:
    holder = from_folder(folder / "models")
    holder.refresh()
    client = TestClient(create_app(holder, None, Limits(max_waiting=0)))

    answer = client.post(f"/{path}", json=body)

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json() == {"detail": "too many texts wait; try again later"}


def test_health_and_readiness(url: str) -> None:
    assert requests.get(f"{url}/health", timeout=60).json() == {"status": "ok"}
    assert requests.get(f"{url}/ready", timeout=60).json() == {"status": "ok"}


def test_token_is_asked_of_all_but_health_and_the_page_and_never_printed(folder: Path) -> None:
    token = "a-secret-of-this-test"
    with service(folder, "--folder", "models", SERVE_TOKEN=token) as (url, process):
        refused = [predict(url, ["x"]), predict(url, ["x"], headers={"Authorization": "Bearer wrong"})]
        refused.append(requests.get(f"{url}/metrics", timeout=60))
        accepted = predict(url, ["x"], headers={"Authorization": f"Bearer {token}"})
        is_open = [requests.get(f"{url}{path}", timeout=60).status_code for path in ("/health", "/ready", "/")]
        process.terminate()
        output = process.communicate(timeout=60)[0]

    assert [answer.status_code for answer in refused] == [401] * 3
    assert refused[0].headers["WWW-Authenticate"] == "Bearer"
    assert accepted.status_code == 200
    assert is_open == [200] * 3
    assert token not in output


def test_request_under_way_is_answered_after_sigterm(folder: Path) -> None:
    long = [f"banana {number} " * 2000 for number in range(100)]
    with service(folder, "--folder", "models") as (url, process), ThreadPoolExecutor(1) as pool:
        answer = pool.submit(predict, url, long)
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)

        assert answer.result().status_code == 200
        assert process.wait(60) == 143
        assert "Traceback" not in (process.stdout.read() if process.stdout else "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--folder", "nowhere"], "error: there is no folder nowhere; `dvc repro` makes models/"),
        (["--folder", "empty"], "error: no model can be served: "),
        (["--port", "70000"], "error: Invalid value for '--port'"),
    ],
)
def test_mistake_at_the_start_is_a_one_line_error(folder: Path, arguments: list[str], message: str) -> None:
    (folder / "empty").mkdir(exist_ok=True)
    done = run(folder, "-m", "pipeline.serve", *arguments)

    assert done.returncode
    assert done.stderr.splitlines()[-1].startswith(message)
    assert "Traceback" not in done.stderr


def test_port_that_is_taken_is_a_one_line_error(folder: Path, url: str) -> None:
    port = url.rpartition(":")[2]
    done = run(folder, "-m", "pipeline.serve", "--folder", "models", "--port", port)

    assert done.returncode == 1
    assert done.stderr == f"error: cannot listen on 127.0.0.1:{port}; choose another --port\n"


def test_service_of_a_folder_imports_nothing_that_its_requirements_lack(folder: Path) -> None:
    heavy = ["mlflow", "tensorflow", "scipy", "sklearn", "dvc", "pandas", "pyarrow", "matplotlib"]
    locked = (ROOT / "requirements-serve.txt").read_text()
    assert not [name for name in heavy if f"\n{name}==" in locked]
    code = "from pathlib import Path; from pipeline.serving import app, models, server; import sys; "
    code += "models.from_folder(Path('models')).refresh(); "
    code += "print([name for name in sys.argv[1:] if name in sys.modules])"

    done = run(folder, "-c", code, *heavy)

    assert done.stdout.splitlines()[-1] == "[]", done.stderr
