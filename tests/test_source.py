"""Stage source: a fingerprint that changes when a local source does, and says nothing of this machine."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import source
from pipeline.cli import UserError

OUT = Path("data/source.json")
EXAMPLES = {"train/a/0.txt": b"one", "train/b/0.txt": b"two"}


@pytest.mark.parametrize("name", ["corpus", "corpus.tar.gz", "corpus.zip"])
def test_the_file_changes_with_a_local_source_and_only_then(
    pack: Callable, set_params: Callable, tmp_path: Path, name: str
) -> None:
    set_params(fetch={"source": str(pack(name, EXAMPLES))})
    source.main()
    first = OUT.read_bytes()

    source.main()
    assert OUT.read_bytes() == first

    pack(name, {**EXAMPLES, "train/b/0.txt": b"other"})
    source.main()
    assert OUT.read_bytes() != first
    assert str(tmp_path).encode() not in OUT.read_bytes()


def test_another_kind_of_source_has_another_fingerprint(pack: Callable, set_params: Callable) -> None:
    seen = set()
    for name in ("sample", "stack_overflow_16k", str(pack("corpus.zip", EXAMPLES)), str(pack("corpus", EXAMPLES))):
        set_params(fetch={"source": name})
        source.main()
        seen.add(OUT.read_bytes())

    assert len(seen) == 4


def test_a_relative_path_is_taken_from_the_repository_in_an_experiments_copy_too(
    pack: Callable, set_params: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack("corpus", EXAMPLES)
    set_params(fetch={"source": "corpus"})
    with pytest.raises(UserError, match="that path does not exist"):
        source.main()

    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    source.main()

    assert OUT.exists()
