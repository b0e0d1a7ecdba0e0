"""README.md: every command in it runs, in its order and word for word, in a fresh clone of this repository.

The clone has the tests' params.yaml, so that a run takes seconds. A comment before a block says what it is:
`<!-- output -->` is printed by a command, `<!-- needs: … -->` cannot run here, `<!-- foreground -->` runs until Ctrl-C.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.repository import ROOT, fast_commands, fast_environment, fresh_copy

pytestmark = pytest.mark.slow

BLOCK = re.compile(
    r"(?P<comments>(?:<!--[^\n]*-->\n)*)^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
SELF = ("make test", "make check")  # this test is part of what they run
LANGUAGES = ("", "bash", "sh", "console")


class Block(NamedTuple):
    line: int
    comments: str
    language: str
    text: str

    @property
    def is_command(self) -> bool:
        return self.language in LANGUAGES and "output" not in self.comments and "needs:" not in self.comments


def blocks(markdown: str) -> Iterator[Block]:
    for match in BLOCK.finditer(markdown):
        line = markdown.count("\n", 0, match.start("text")) + 1
        yield Block(line, match["comments"], match["language"], match["text"])


def shortened(commands: str) -> str:
    """The commands, with two trials in a sweep, and without those that would run this test again."""
    lines = [line for line in commands.splitlines() if not line.strip().startswith(SELF)]
    return re.sub(r"--trials \d+", "--trials 2", "\n".join(lines))


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = fresh_copy(tmp_path_factory.mktemp("readme") / "clone")
    if (ROOT / ".venv/installed").exists():  # the environment that `make` would install
        (folder / ".venv").mkdir()
        (folder / ".venv/bin").symlink_to(fast_commands())
        (folder / ".venv/installed").touch()
        os.utime(folder / "requirements.txt", (0, 0))
    for name, value in {"user.name": "Ada", "user.email": "ada@example.org"}.items():
        subprocess.run(["git", "config", name, value], cwd=folder, check=True)
    return folder


@pytest.mark.parametrize("block", [block for block in blocks((ROOT / "README.md").read_text()) if block.is_command],
                         ids=lambda block: f"line-{block.line}")  # fmt: skip
def test_block_of_the_readme_runs(clone: Path, block: Block) -> None:
    commands = ["bash", "-euo", "pipefail", "-c", shortened(block.text)]
    log = clone.parent / f"line-{block.line}.log"

    with log.open("w") as file:
        process = subprocess.Popen(
            commands, cwd=clone, env=fast_environment() | {"DVC_NO_ANALYTICS": "1"}, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            if "foreground" in block.comments:
                time.sleep(20)
                assert process.poll() is None, log.read_text()
                os.killpg(process.pid, signal.SIGINT)
                process.wait(60)
            else:
                assert process.wait(1500) == 0, f"{block.text}\n{log.read_text()}"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)

    if "foreground" not in block.comments:  # MLflow's server may print one of its own when it is interrupted
        assert "Traceback" not in log.read_text()


def test_clone_has_the_bytes_of_another_run_of_the_same_parameters(clone: Path, first_result: Path) -> None:
    first = subprocess.check_output(["git", "log", "--format=%H", "--reverse", "--", "dvc.lock"], cwd=clone, text=True)

    lock = subprocess.check_output(["git", "show", f"{first.split()[0]}:dvc.lock"], cwd=clone)

    assert lock == (first_result / "dvc.lock").read_bytes()


def test_the_readme_has_commands_to_run_and_is_a_front_door() -> None:
    text = (ROOT / "README.md").read_text()

    assert sum(block.is_command for block in blocks(text)) >= 8
    assert len(text.splitlines()) <= 200
