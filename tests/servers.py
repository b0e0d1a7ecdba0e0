"""Real servers for tests: PostgreSQL, and MLflow's with users and passwords, on this machine alone."""

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path

import psycopg2
import pytest

from tests.repository import ROOT, environment

USER, PASSWORD = "admin", "a password of these tests"
# A password is meant to be slow to check: a third of a second with all cores busy, so the answer is kept for a minute.
AUTHENTICATION = f"""[mlflow]
default_permission = READ
database_uri = sqlite:///{{folder}}/users.db
admin_username = {USER}
admin_password = {PASSWORD}
auth_cache_ttl_seconds = 60
"""


@contextmanager
def postgresql() -> Iterator[str]:
    """A PostgreSQL of its own, reached by a socket in a folder that is its alone; gives its URI for MLflow."""
    # Debian keeps these programs off the path.
    found = shutil.which("initdb") or max(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")), default=None)
    if not found:
        pytest.skip("PostgreSQL is not installed")
    programs = Path(found).resolve().parent
    # A short path, as that of a socket may have some 100 characters, and one that another user may enter.
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        options: dict = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT}
        if os.geteuid() == 0:  # as root it refuses to run
            users = {user.pw_name: user for user in pwd.getpwall()}
            owner = users.get("postgres") or users["nobody"]
            os.chown(folder, owner.pw_uid, owner.pw_gid)
            options |= {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        make = [str(programs / "initdb"), "--pgdata=data", "--username=mlflow", "--auth=trust", "--encoding=UTF8"]
        subprocess.run([*make, "--locale=C", "--no-sync"], check=True, **options)
        settings = ["listen_addresses=", f"unix_socket_directories={folder}", "fsync=off"]
        start = [str(programs / "postgres"), "-D", "data", *(part for setting in settings for part in ("-c", setting))]
        process = subprocess.Popen(start, **options)
        try:
            wait_until(lambda: answers(folder), process, "PostgreSQL", 30)
            yield f"postgresql+psycopg2://mlflow@/postgres?host={folder}"
        finally:
            process.send_signal(signal.SIGINT)  # ends without waiting for its clients to leave
            process.wait(30)


def answers(folder: str) -> bool:
    try:
        psycopg2.connect(host=folder, user="mlflow", dbname="postgres").close()
    except psycopg2.OperationalError:  # not there yet, or starting
        return False
    return True


class Server:
    """MLflow's server on a free port of this machine, with basic authentication; artifacts go through it."""

    def __init__(self, folder: Path, store: str) -> None:
        self.folder, self.store, self.port = folder, store, free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.client = as_user(PASSWORD) | at(self.uri)

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--backend-store-uri", self.store, "--artifacts-destination", str(self.folder / "artifacts")]
        command += ["--serve-artifacts", "--app-name", "basic-auth", "--workers", "1"]
        env = without_mlflow() | {
            "MLFLOW_AUTH_CONFIG_PATH": str(self.folder / "auth.ini"),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "a secret of these tests",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        (self.folder / "auth.ini").write_text(AUTHENTICATION.format(folder=self.folder))
        # A session of its own, so that its workers end with it.
        with (self.folder / "server.log").open("a") as log:
            self.process = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_until(lambda: is_healthy(self.port), self.process, "MLflow's server", 90)
        except BaseException:
            self.kill()
            print((self.folder / "server.log").read_text())
            raise

    def kill(self) -> None:
        """End it as a power cut does, with all its workers."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def is_healthy(port: int) -> bool:
    """Whether MLflow's server answers there."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def at(uri: str) -> dict[str, str]:
    """What a client's environment says of where the server is."""
    # It tries a second time at once; before a third it would wait for seconds.
    return {"MLFLOW_TRACKING_URI": uri, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "NO_PROXY": "127.0.0.1"}


def as_user(password: str, user: str = USER) -> dict[str, str]:
    """What a client's environment says of who it is."""
    return {"MLFLOW_TRACKING_USERNAME": user, "MLFLOW_TRACKING_PASSWORD": password}


def without_mlflow() -> dict[str, str]:
    """An environment that says nothing of MLflow, whatever this one says."""
    return {name: value for name, value in environment().items() if not name.startswith("MLFLOW_")}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(ready: Callable[[], bool], process: subprocess.Popen, name: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert process.poll() is None, f"{name} ended with {process.returncode}"
        assert time.monotonic() < deadline, f"{name} is not ready after {seconds} seconds"
        time.sleep(0.1)


@contextmanager
def service(folder: Path, *arguments: str, **more: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of a service, and its process, which has ended afterwards."""
    command = [sys.executable, "-m", "pipeline.serve", "--port", "0", *arguments]
    env = environment() | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"} | more
    with subprocess.Popen(
        command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout
        try:
            lines: list[str] = []
            while not (match := re.match(r"(http://127\.0\.0\.1:\d+) ", lines[-1] if lines else "")):
                lines.append(process.stdout.readline())
                assert lines[-1], "".join(lines)
            yield match[1], process
        finally:
            process.terminate()
            process.wait(60)
