"""Fixtures for many tests: a folder to run stages in, corpora in every packing, a web server, real processes."""

import gc
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from ruamel.yaml import YAML

from pipeline import params
from pipeline.tracking.git import repository_variables
from tests.hand_made_models import write_models
from tests.repository import SHARED, commit, copy_repository, fresh_copy, make_once, toy_copy
from tests.repository import run as run_in

ROOT = Path(__file__).parent.parent

# Where tests are started in the background (`make test &`), Ctrl-C is ignored, by the processes they start, too.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Where tests are started by a git hook, git's variables would lead the tests' repositories to this one.
for name in repository_variables():
    os.environ.pop(name, None)


# Files that take longest begin first, so that no process is left with one of them at the end.
LONG = [
    "test_registry",
    "test_real_posts",
    "test_tracking",
    "test_pipeline",
    "test_servers",
    "test_sweep",
    "test_readme",
]
LONG += ["test_readme", "test_browser", "test_train", "test_plots"]
# Fixtures that take a whole run of the pipeline, so that a test that needs one is slow.
RUNS_THE_PIPELINE = {"first_result", "repository", "archive"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))
    for item in items:
        if RUNS_THE_PIPELINE & {*getattr(item, "fixturenames", ())}:
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish() -> None:
    """What the tests have imported stays, and a collection of garbage need not go through it, which takes 0.3 s."""
    gc.freeze()


@pytest.hookimpl(optionalhook=True)  # so that pytest also runs without xdist
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: tests often wait for the disk and for servers."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with the tests' params.yaml, as the current one."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    shutil.copy(ROOT / "tests/params.yaml", folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return folder


@pytest.fixture
def set_params(workspace: Path) -> Callable[..., params.Params]:
    """`set_params(split={"test_size": 0.5})` changes the workspace's params.yaml, and gives all of it."""

    def change(**sections: Mapping) -> params.Params:
        yaml = YAML()
        values = yaml.load(Path("params.yaml"))
        for name, section in sections.items():
            values[name].update(section)
        yaml.dump(values, Path("params.yaml"))
        return params.load()

    return change


@pytest.fixture
def pack(tmp_path: Path) -> Callable[[str, Mapping[str, bytes]], Path]:
    """`pack("some.zip", {"train/a/0.txt": b"..."})` makes a .zip, a .tar or .tar.gz, or a folder, by the name."""

    def make(name: str, files: Mapping[str, bytes]) -> Path:
        path = tmp_path / name
        if name.endswith(".zip"):
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                for member, content in files.items():
                    archive.writestr(member, content)
        elif ".tar" in name:
            with tarfile.open(path, "w:gz" if name.endswith(".gz") else "w") as archive:
                for member, content in files.items():
                    info = tarfile.TarInfo(member)
                    info.size = len(content)
                    archive.addfile(info, io.BytesIO(content))
        else:
            for member, content in files.items():
                (path / member).parent.mkdir(parents=True, exist_ok=True)
                (path / member).write_bytes(content)
        return path

    return make


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[BaseHTTPRequestHandler], None]], str]]:
    """`serve(answer)` starts a web server on this machine and gives its URL; it calls `answer` with each GET."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    servers = []

    def start(answer: Callable[[BaseHTTPRequestHandler], None]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer(self)

            def log_message(self, *_) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def run(workspace: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`run("pipeline.fetch", input="...")` runs `python -m pipeline.fetch` in the workspace."""

    def command(module: str, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
        env = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"} | options.pop("env", {})
        options = {"encoding": "utf-8", "input": ""} | options
        return subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, env=env, **options)

    return command


@pytest.fixture(scope="session")
def archive() -> Path:
    """The real Stack Overflow 16k archive, in the folder that DATASETS names; without it, tests that need it skip."""
    path = Path(os.environ.get("DATASETS") or "nowhere", "stack_overflow_16k.tar.gz")
    if not path.exists():
        pytest.skip("DATASETS names no folder with stack_overflow_16k.tar.gz")
    return path.resolve()


@pytest.fixture(scope="session", autouse=True)
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A folder for what is made once in a test session, by whichever of pytest's processes needs it first."""
    own = tmp_path_factory.getbasetemp()
    os.environ[SHARED] = str(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own)


@pytest.fixture(scope="session")
def first_result(shared_folder: None) -> Path:
    """A copy of this repository after its first `dvc repro`, committed; not to be changed."""

    def make(folder: Path) -> None:
        folder.mkdir()
        fresh_copy(folder)
        output = run_in(folder, "dvc", "repro")
        assert "Traceback" not in output
        commit(folder, "first result")

    return make_once("first-result", make)


@pytest.fixture(scope="session")
def first_toy_result(shared_folder: None) -> Path:
    """A copy of this repository with the toy pipeline after its first `dvc repro`, committed; not to be changed."""

    def make(folder: Path) -> None:
        folder.mkdir()
        toy_copy(folder)
        run_in(folder, "dvc", "repro")
        commit(folder, "first result")

    return make_once("first-toy-result", make)


@pytest.fixture(scope="module")
def toy_repository(first_toy_result: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A module's own repository with the toy pipeline, its first result, and the store that has it."""
    return copy_repository(first_toy_result, tmp_path_factory.mktemp("toy") / "repository")


@pytest.fixture(scope="module")
def repository(first_result: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A module's own repository, with its first result and the store that holds it."""
    return copy_repository(first_result, tmp_path_factory.mktemp("copy") / "repository")


@pytest.fixture(scope="session")
def small() -> Callable[..., params.Train]:
    """`small(cell="lstm")` gives the tests' parameters of training, for a tiny bidirectional network, with changes."""
    tiny = {"embedding_dim": 7, "units": 5, "bidirectional": True}
    values = params.load(ROOT / "tests/params.yaml").train.model_dump() | tiny
    return lambda **changes: params.Train.model_validate(values | changes)


@pytest.fixture(scope="session")
def random_network() -> Callable:
    """`random_network(config, vocab_size=50, n_classes=3)` is a Keras network; all weights and biases are random."""
    from pipeline.model import network  # TensorFlow takes seconds to import

    def build(
        config: params.Train,
        vocab_size: int = 50,
        n_classes: int = 3,
        feature_dim: int = 0,
        length: int | None = None,
        seed: int = 1,
    ):
        # Otherwise the numbers in layer names go on from the previous network.
        network.keras.utils.clear_session(free_memory=False)
        rng = np.random.default_rng(seed)
        model = network.build_network(vocab_size, n_classes, feature_dim, length, 100, config)
        model.set_weights([rng.normal(0, 0.7, weight.shape) for weight in model.get_weights()])
        model.run_eagerly = True  # to make a graph takes longer than some batches of short texts
        return model

    return build


@pytest.fixture
def make_models(workspace: Path) -> Callable[..., None]:
    """`make_models(baseline)` writes `models/` with a hand-made network, and the baseline model if there is one."""
    return write_models


@pytest.fixture
def models(make_models: Callable[..., None]) -> None:
    """`models/` with the hand-made network alone."""
    make_models(None)
