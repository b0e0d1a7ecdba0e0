"""Several processes that make the same change of an alias at once, each as on a machine of its own."""

import subprocess
import sys
from pathlib import Path

from tests.repository import ROOT, environment

# The second change of the champion, from version 1; it is made when all processes are ready.
CHANGE = """
import sys, time
from pathlib import Path
from pipeline.params.track import Track
from pipeline.tracking import store
from pipeline.registry.history import AliasChange, Conflict, record_change
client, _ = store.connect(Track(experiment="tests", timeout=60))
model, after = sys.argv[1:]
Path("ready").touch()
while not all(folder.joinpath("ready").exists() for folder in Path("..").glob("machine-*")):
    time.sleep(0.01)
try:
    record_change(client, model, AliasChange("champion", 2, "promote", "1", after))
    print("promoted")
except Conflict:
    print("too late")
"""


def challenge(model: str, versions: list[str], folder: Path, client: dict[str, str]) -> list[str]:
    """What each printed: `promoted` or `too late`. No lock of this machine separates them."""
    machines = [folder / f"machine-{version}" for version in versions]
    for machine in machines:
        machine.mkdir()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CHANGE, model, version], cwd=machine, text=True, stdout=subprocess.PIPE,
            env=environment() | {"PYTHONPATH": str(ROOT)} | client,
        )
        for machine, version in zip(machines, versions, strict=True)
    ]  # fmt: skip
    return [process.communicate(timeout=120)[0].strip() for process in processes]
