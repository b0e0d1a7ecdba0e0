"""A limit on the time that a command waits for MLflow's server: all its calls share it.

A server may accept a connection and never answer, or answer a byte at a time; no limit of a single read ends that.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

FREE_SECONDS = 1.0  # of each call, which do not count: a training logs each epoch, however long it takes


class Expired(Exception):
    """No OSError, which an HTTP client would take for a failed connection and try again."""


class Deadline:
    """Seconds that are left to wait; None is no limit. A call that outlasts them, and each call after it, ends."""

    def __init__(self) -> None:
        self.limit: float | None = None
        self.left = 0.0
        self.is_running = False

    def start(self, seconds: float) -> None:
        """Limit the calls from now on; the first limit in a process holds."""
        if self.limit is None:
            self.limit = self.left = seconds

    @contextmanager
    def running(self) -> Iterator[None]:
        """Raise `Expired` in the block, in the main thread, when the time is up. Blocks may be nested."""
        if self.limit is None or self.is_running or threading.current_thread() is not threading.main_thread():
            yield
            return
        if self.left <= 0:
            raise self.expired()
        began, computed = time.monotonic(), time.thread_time()

        def waited() -> float:
            return (time.monotonic() - began) - (time.thread_time() - computed)

        def on_alarm(*_) -> None:
            remaining = self.left + FREE_SECONDS - waited()
            if remaining <= 0:
                raise self.expired()
            signal.setitimer(signal.ITIMER_REAL, remaining)

        previous = signal.signal(signal.SIGALRM, on_alarm)
        signal.setitimer(signal.ITIMER_REAL, self.left + FREE_SECONDS)
        self.is_running = True
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)
            self.is_running = False
            self.left -= max(waited() - FREE_SECONDS, 0)

    def expired(self) -> Expired:
        return Expired(f"the server took more than {self.limit:g} s in all; track.timeout sets that")


deadline = Deadline()  # of this process
