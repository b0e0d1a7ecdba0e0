"""Which model the service has: that of a folder, a pinned version, or the champion, whoever that is at the moment."""

import shutil
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.cli import UserError, hide_secrets
from pipeline.model.classifier import MODEL, Classifier
from pipeline.model.onnx_gradients import OnnxNetwork

TAGS = {"commit": "git.commit", "test_data": "data.test"}  # of a version, by the name that the service gives them
WARM_UP = "how do i sort a dict by value"


@dataclass(frozen=True)
class ServedModel:
    """A loaded model, and where it comes from."""

    classifier: Classifier
    network: OnnxNetwork  # for attributions
    source: dict[str, str]  # model, version, run, commit and digest of the test data


def load_folder(folder: Path, source: dict[str, str]) -> ServedModel:
    """Load the files of a classifier and classify one text with them.

    Raises UserError for a model that is damaged or cannot predict, and FileNotFoundError if a file is missing.
    """
    classifier = Classifier(folder)
    if not abs(classifier.predict_proba([WARM_UP]).sum() - 1) < 1e-3:
        raise UserError(f"the probabilities of the model in {folder} do not sum to 1")
    return ServedModel(classifier, OnnxNetwork(folder / MODEL), source)


class ModelHolder:
    """The model that answers now. `refresh` takes up another one, and keeps this one if that fails."""

    def __init__(self, load: Callable[[ServedModel | None], ServedModel]) -> None:
        """`load` is given the model of now, and returns it if it is still the right one."""
        self.load = load
        self.model: ServedModel | None = None
        self.error = ""
        self.stopped = threading.Event()

    def refresh(self) -> None:
        """Never raises: what is wrong is in `error`, and printed once."""
        try:
            model = self.load(self.model)
        except Exception as error:  # whatever a new version or MLflow's store does, the service goes on
            message = hide_secrets(" ".join(str(error).split()) or type(error).__name__)
            if message != self.error:
                print(f"warning: {message}; {self.describe()}", flush=True)
            self.error = message
            return
        self.error = ""
        if model is not self.model:
            self.model = model
            print(self.describe(), flush=True)

    def describe(self) -> str:
        if not self.model:
            return "no model is served yet"
        return f"serving {', '.join(f'{name} {value}' for name, value in self.model.source.items())}"

    def refresh_forever(self, seconds: float) -> None:
        """Until `stopped` is set; for a thread of its own."""
        while not self.stopped.wait(seconds):
            self.refresh()


def from_folder(folder: Path) -> ModelHolder:
    return ModelHolder(lambda current: current or load_folder(folder, {"folder": str(folder)}))


def from_registry(version: str) -> ModelHolder:
    """The registered version with that number or alias. What is read of MLflow is in `pipeline.registry`."""
    # Not at the top: it imports MLflow, which a folder does not need.
    from pipeline import params
    from pipeline.registry import gate, versions
    from pipeline.tracking import store

    config = params.load()

    def load(current: ServedModel | None) -> ServedModel:
        client, _ = store.connect(config.track)
        found = versions.find_version(client, config.registry.model, version)
        number = str(found.version)
        if current and current.source["version"] == number:
            return current
        folder = Path(tempfile.mkdtemp(prefix="served-"))
        try:
            model = gate.download_model(client, found, folder)
            source = {"model": config.registry.model, "version": number, "run": found.run_id or "unknown"}
            source |= {name: found.tags.get(tag, "unknown") for name, tag in TAGS.items()}
            return load_folder(model / "artifacts/models", source)
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # all of it is in memory

    return ModelHolder(load)
