"""The MLflow UI is served on a free port of this machine alone."""

import os
import socket
from collections.abc import Iterator

import pytest

from pipeline.cli import UserError
from pipeline.tracking import ui


class Replaced(Exception):
    """The process would be MLflow's server from here on."""


@pytest.fixture
def server_command(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command that replaces the process."""
    command: list[str] = []

    def replace(program: str, arguments: list[str]) -> None:
        command.extend(arguments)
        raise Replaced

    monkeypatch.setattr(os, "execv", replace)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    return command


@pytest.fixture
def used_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.usefixtures("workspace")
def test_address_and_hint_are_printed_and_the_server_listens_on_this_machine_alone(
    server_command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ui, "is_free", lambda port: port == 5002)

    with pytest.raises(Replaced):
        ui.serve_ui("7", None)

    address, hint = capsys.readouterr().out.splitlines()
    assert address.startswith("The runs: http://127.0.0.1:5002/#/experiments/7/runs?")
    assert "`Model training`" in hint
    arguments = " ".join(server_command)
    assert "-m mlflow ui --host 127.0.0.1 --port 5002 " in arguments
    assert f"--backend-store-uri sqlite:///{os.getcwd()}/mlflow.db" in arguments


def test_runs_on_a_server_have_its_address(
    server_command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.org/")

    ui.serve_ui("7", 5000)

    assert capsys.readouterr().out.startswith("The runs: https://mlflow.example.org/#/experiments/7/runs?")
    assert server_command == []


def test_port_that_is_in_use_is_refused_or_passed_over(used_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=f"port {used_port} is in use; leave --port out to take a free one"):
        ui.choose_port(used_port)

    monkeypatch.setattr(ui, "FIRST_PORT", used_port)

    assert ui.choose_port(None) > used_port


def test_port_that_another_program_has_on_all_addresses_is_not_free() -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("0.0.0.0", 0))
        listener.listen()

        assert not ui.is_free(listener.getsockname()[1])


def test_no_free_port_is_a_one_line_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ui, "is_free", lambda port: False)

    with pytest.raises(UserError, match="no port from 5000 to 5099 is free; name one with --port"):
        ui.choose_port(None)
