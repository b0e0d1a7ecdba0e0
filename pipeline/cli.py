"""How every command of the pipeline starts, shows progress, and fails with a one-line error."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import click
    from tqdm import tqdm


class UserError(Exception):
    """An error of the input or the environment. Its message is one sentence: what is wrong, where, what to do."""


def run(main: Callable[[], None] | click.Command, exit_code: int = 1) -> None:
    """Run a command, and print a `UserError` as one line with this exit code instead of a traceback.

    `main` is a function, or a click command, which then parses the command line.
    """
    # Lines reach the terminal (or DVC's log) as they are printed, not when the stage ends.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    # A container or CI ends a process with SIGTERM: the stage leaves as after Ctrl-C, and marks its MLflow run.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        run_click(main) if hasattr(main, "make_context") else main()  # type: ignore[arg-type, operator]
    except UserError as error:
        exit_with_error(str(error), exit_code)
    except FileNotFoundError as error:
        is_output = str(error.filename).startswith(("data/", "models/", "reports/"))
        hint = "; `dvc repro` makes it, `dvc checkout` restores the last one" if is_output else ""
        exit_with_error(f"{error.filename} is missing{hint}", exit_code)
    except BrokenPipeError:  # `python -m pipeline.predict … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)  # the shell's code for SIGPIPE: the command may be unfinished
    except OSError as error:  # for example a full disk or a read-only folder
        exit_with_error(f"{error.filename or 'a file'} cannot be read or written: {error.strerror or error}", exit_code)
    except KeyboardInterrupt:
        sys.exit(130)  # the shell's code for Ctrl-C


def run_click(command: click.Command) -> None:
    """Run a click command without its own handling of errors, so that bad usage is one line, too."""
    import click  # not at the top: the logged model, which imports this module, needs no click

    try:
        command.main(standalone_mode=False)
    except click.UsageError as error:
        where = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
        exit_with_error(f"{error.format_message().rstrip('.')}{where}", error.exit_code)
    except click.Abort:
        sys.exit(130)


def exit_with_error(message: str, exit_code: int) -> NoReturn:
    """Print `message` to standard error, without secrets of URLs, and end the process."""
    print(f"error: {hide_secrets(message)}", file=sys.stderr)
    sys.exit(exit_code)


def hide_secrets(text: str) -> str:
    """The text with `***` for the user and password of each URL, and for the values of its query."""
    text = re.sub(r"(\w+://)[^/\s@]+@", r"\1***@", text)
    return re.sub(r"(://[^\s?]*\?[^\s=]*=)[^\s)'\"]*", r"\1***", text)


def progress_bar(description: str, iterable: Sequence, unit: str) -> tqdm:
    """A tqdm progress bar that disappears when it is done, and is not shown without a terminal."""
    from tqdm import tqdm  # not at the top: the logged model, which imports this module, needs no tqdm

    return tqdm(iterable, desc=f"  {description}", unit=f" {unit}", leave=False, disable=None)


def repository_root() -> Path:
    """The repository's folder.

    DVC runs a stage of a queued or temporary experiment in a copy of the repository and names the real one in
    `DVC_ROOT`. What outlives the experiment (the MLflow store) or is relative to the repository (a local corpus) is
    found from there.
    """
    return Path(os.environ.get("DVC_ROOT", "."))
