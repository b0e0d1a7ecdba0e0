"""A server that accepts connections and does not answer: what a command waits for it, in all its calls together."""

import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from threading import Event

import pytest

from pipeline.params.track import Track
from pipeline.tracking import store
from pipeline.tracking.deadline import FREE_SECONDS, Deadline, Expired, deadline
from pipeline.tracking.errors import StoreError, store_errors

Serve = Callable[[Callable[[BaseHTTPRequestHandler], None]], str]


@pytest.fixture(autouse=True)
def other_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process's deadline as at the start of a command."""
    for name, value in vars(Deadline()).items():
        monkeypatch.setattr(deadline, name, value)


@pytest.fixture
def end() -> Event:
    """Set when the test ends, so that the server's threads do."""
    return Event()


def be_silent(end: Event) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(_: BaseHTTPRequestHandler) -> None:
        end.wait(600)

    return answer


def drip(end: Event) -> Callable[[BaseHTTPRequestHandler], None]:
    """A byte of an answer every tenth of a second: no read takes longer than that."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        while not end.wait(0.1):
            handler.wfile.write(b" ")

    return answer


@pytest.mark.parametrize("kind", [be_silent, drip])
def test_call_ends_when_the_time_is_up_and_later_calls_at_once(
    kind: Callable, end: Event, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", serve(kind(end)))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "600")
    called = []

    with pytest.raises(StoreError, match=r"took more than 0\.5 s in all; track\.timeout sets that"):
        store.connect(Track(experiment="tests", timeout=0.5))
    with pytest.raises(StoreError, match=r"took more than 0\.5 s in all"), store_errors():
        called.append("again")

    assert not called
    end.set()


def test_fast_calls_use_nothing_of_the_time() -> None:
    limited = Deadline()
    limited.start(0.05)

    for _ in range(20):
        with limited.running():
            time.sleep(0.01)

    assert limited.left == 0.05


def test_computing_uses_nothing_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    limited, now = Deadline(), [0.0]
    limited.start(20)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "thread_time", lambda: now[0] * 0.75)

    with limited.running():
        now[0] = 16.0

    assert limited.left == 20 - 16 * 0.25 + FREE_SECONDS


def test_nested_calls_wait_once() -> None:
    limited = Deadline()
    limited.start(0.1)

    with pytest.raises(Expired), limited.running(), limited.running():
        time.sleep(60)

    assert limited.left <= 0
    assert not limited.is_running


def test_without_a_limit_nothing_ends() -> None:
    with Deadline().running():
        time.sleep(0.01)
