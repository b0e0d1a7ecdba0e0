"""Errors of the store are one exception with a one-line message; programming errors stay what they are."""

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

import pytest
import requests
import urllib3
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import OperationalError

from pipeline.cli import UserError
from pipeline.tracking import store
from pipeline.tracking.errors import StoreError, get_or_none, store_errors
from tests.repository import track_params


class NoCredentialsError(Exception):
    """As a client of an object store has it, which is no dependency."""

    __module__ = "botocore.exceptions"


@pytest.mark.parametrize(
    "error",
    [
        MlflowException("it is away\nand more"),
        OperationalError("SELECT 1", None, Exception("it is away")),
        ConnectionResetError("it is away"),
        requests.ConnectionError("it is away"),
        urllib3.exceptions.ProtocolError("it is away"),
        NoCredentialsError("it is away"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_error_of_a_store_becomes_a_store_error_with_its_first_line(error: Exception) -> None:
    with pytest.raises(StoreError) as raised, store_errors("write to"):
        raise error

    assert "it is away" in raised.value.reason
    assert str(raised.value) == f"cannot write to MLflow ({raised.value.reason}); check MLFLOW_TRACKING_URI"
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("error", [TypeError, KeyError, AttributeError, IndexError, ZeroDivisionError, UnicodeError])
def test_programming_error_passes_through(error: type[Exception]) -> None:
    with pytest.raises(error), store_errors():
        raise error("a bug")


def test_user_error_passes_through_and_a_store_error_is_one() -> None:
    with pytest.raises(UserError, match="say what to do"), store_errors():
        raise UserError("say what to do")
    with pytest.raises(StoreError, match="cannot write to"), store_errors(), store_errors("write to"):
        raise OSError("disk full")
    assert issubclass(StoreError, UserError)


def test_error_without_a_message_is_named_by_its_class() -> None:
    with pytest.raises(StoreError, match=r"\(BrokenPipeError\)"), store_errors():
        raise BrokenPipeError


def test_what_does_not_exist_is_none_and_other_errors_are_raised() -> None:
    def missing() -> None:
        raise MlflowException("Run with id=7 not found")

    def unavailable() -> None:
        raise MlflowException("the server is down")

    assert get_or_none(lambda: 7) == 7
    assert get_or_none(missing) is None
    with pytest.raises(StoreError, match="the server is down"):
        get_or_none(unavailable)


@pytest.mark.parametrize(
    "body", [b"<html>a router's page</html>", b"[]", b'{"experiment": 7}'], ids=["HTML", "a list", "other fields"]
)
def test_server_that_is_not_mlflow_is_a_store_error(
    serve: Callable, monkeypatch: pytest.MonkeyPatch, workspace: object, body: bytes
) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(body)

    monkeypatch.setenv("MLFLOW_TRACKING_URI", serve(answer))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    with pytest.raises(StoreError, match="cannot read from MLflow"):
        store.connect(track_params("anything"))
