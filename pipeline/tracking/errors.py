"""What can go wrong between this program and MLflow: one exception, whatever the kind of store."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from google.protobuf.json_format import ParseError
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError
from urllib3.exceptions import HTTPError

from pipeline.cli import UserError
from pipeline.tracking.deadline import Expired, deadline

# OSError includes those of requests. A server that is not MLflow's may answer with no JSON (ValueError) or other JSON.
STORE_EXCEPTIONS = (
    *(MlflowException, SQLAlchemyError, sqlite3.Error, OSError, HTTPError),
    *(json.JSONDecodeError, ParseError, Expired),
)
# Clients of object stores that a user may have installed, each with exceptions of its own.
ARTIFACT_CLIENTS = {"azure", "boto3", "botocore", "google", "paramiko"}

T = TypeVar("T")


class StoreError(UserError):
    """MLflow cannot be read or written. `reason` is the first line of why."""

    def __init__(self, reason: str, action: str = "read from", advice: str = "check MLFLOW_TRACKING_URI") -> None:
        super().__init__(f"cannot {action} MLflow ({reason}); {advice}")
        self.reason, self.advice = reason, advice

    def when_writing(self) -> "StoreError":
        return StoreError(self.reason, "write to", self.advice)


@contextmanager
def store_errors(action: str = "read from") -> Iterator[None]:
    """Raise a StoreError for whatever fails in the store; `action` is "read from" or "write to".

    That includes a server that does not answer, see `pipeline.tracking.deadline`. A programming error (TypeError,
    KeyError, ...) is none of the store's and passes through.
    """
    try:
        with deadline.running():
            yield
    except Exception as error:
        is_of_client = type(error).__module__.partition(".")[0] in ARTIFACT_CLIENTS
        if isinstance(error, UserError) or not (isinstance(error, STORE_EXCEPTIONS) or is_of_client):
            raise
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise StoreError(lines[0], action) from error


def get_or_none(get: Callable[[], T]) -> T | None:
    """What `get` returns from MLflow; None if MLflow has no such thing. Raises StoreError."""
    try:
        with store_errors():
            return get()
    except StoreError as error:
        if "not found" not in error.reason.lower():
            raise
        return None
