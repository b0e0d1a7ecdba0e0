"""What every command of the pipeline has in common: how it starts, and how it stops with a sentence."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from tqdm import tqdm


class UserError(Exception):
    """Ends a command; its message is one sentence for the person at the keyboard: what, where, what to do."""


def run(main: Callable[[], None], code: int = 1) -> None:
    """Run a command's `main` and turn a `Stop` into its sentence and this exit code, without a traceback."""
    # Lines reach the terminal (or DVC's log) as they are printed, not when the stage ends.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    # What a container or CI sends to end a process: the stage leaves as after Ctrl-C, and tells MLflow so.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        main()
    except UserError as stop:
        exit_with_error(str(stop), code)
    except FileNotFoundError as error:
        made = str(error.filename).startswith(("data/", "models/", "reports/"))
        hint = "; `dvc repro` makes it, `dvc checkout` brings the last one back" if made else ""
        exit_with_error(f"{error.filename} is missing{hint}", code)
    except BrokenPipeError:  # `python -m pipeline.predict … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)  # the shell's code for it: what was asked for may not be done
    except OSError as error:  # a full disk, a folder that may not be written
        exit_with_error(f"{error.filename or 'a file'} cannot be read or written: {error.strerror or error}", code)
    except KeyboardInterrupt:
        sys.exit(130)  # the shell's code for Ctrl-C


def exit_with_error(sentence: str, code: int) -> NoReturn:
    print(f"error: {sentence}", file=sys.stderr)
    sys.exit(code)


def progress_bar(doing: str, over: Sequence, unit: str) -> tqdm:
    """A progress bar, gone when it is done, and none where there is no terminal.

    To go over the things one by one, or to be told by its `update` how many were just seen to.
    """
    from tqdm import tqdm  # here, as serving needs none

    return tqdm(over, desc=f"  {doing}", unit=f" {unit}", leave=False, disable=None)


def repository_root() -> Path:
    """The repository's folder.

    DVC runs a stage of a queued or temporary experiment in a copy of the repository and names the real one in
    `DVC_ROOT`: what outlives the experiment (the MLflow store) or lies beside the repository (a local corpus)
    is found from there.
    """
    return Path(os.environ.get("DVC_ROOT", "."))
