"""Set a damaged `dvc.lock` aside: `make repro` begins with it.

    python -m pipeline.tracking.lock_file

DVC truncates the file and writes it anew after each stage. A process that is killed at that moment leaves it damaged,
and then no command of DVC works. Without the file, DVC takes the results of all stages from its cache.
"""

from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline import cli
from pipeline.cli import UserError

LOCK = Path("dvc.lock")
CONFLICT = "<<<<<<< "


def main() -> None:
    if not LOCK.exists():
        return
    text = LOCK.read_text(encoding="utf-8", errors="replace")
    if text.startswith(CONFLICT) or f"\n{CONFLICT}" in text:
        choice = f"choose one side by `git checkout --ours {LOCK}` or `git checkout --theirs {LOCK}`"
        raise UserError(f"{LOCK} has the conflict markers of a merge; {choice}")
    if not is_whole(text):
        aside = LOCK.rename(f"{LOCK}.damaged")
        print(f"{LOCK} is damaged, as by a kill while DVC wrote it; it is now {aside}, and the cache has its results")


def is_whole(text: str) -> bool:
    """Whether DVC can read it."""
    try:
        content = YAML(typ="safe").load(text)
    except YAMLError:
        return False
    return isinstance(content, dict) and isinstance(content.get("stages"), dict) and "schema" in content


if __name__ == "__main__":
    cli.run(main)
