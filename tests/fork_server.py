"""Starts Python's commands in a moment: each is forked from a process that has imported MLflow, DVC and scikit-learn.

These imports take three seconds of every command, and the tests run hundreds of commands. `start` makes a folder of
commands like an environment's `bin`, to be put first on a `PATH`. Its `python` and `dvc` hand arguments, environment,
folder and files to the server, pass on Ctrl-C and SIGTERM (to the command and its children), and end as the forked
process ends; if one is killed, so is that process.
Options of Python, also by environment variables, are left to the real command.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import struct
import subprocess
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

IMPORTED = ["dvc.repo", "mlflow.pyfunc", "mlflow.store.tracking.sqlalchemy_store"]
IMPORTED += ["datasketch", "scipy.stats", "sklearn.feature_extraction.text", "sklearn.metrics", "sklearn.svm"]

CLIENT = """#!{python} -IS
import json, os, signal, socket, struct, sys

name, *arguments = [os.path.basename(sys.argv[0]), *sys.argv[1:]]
options = {{key: value for key, value in os.environ.items() if key.startswith("PYTHON")}}
if options != {options} or name == "python" and arguments[:1] != ["-m"]:
    command = os.path.join({bin!r}, name)
    os.execv(command, [command, *arguments])
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
request = json.dumps([name, arguments, os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(server, [struct.pack("I", len(request))], [0, 1, 2])
server.sendall(request)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _: server.send(bytes([number])))
code = struct.unpack("i", server.recv(4, socket.MSG_WAITALL))[0]
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""


def start(folder: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    """Start a server whose commands are in `folder`; terminate it in the end."""
    address = f"{folder}/socket"
    assert len(address) < 100, "an address of a socket is short"
    python = Path(sys.executable)
    options = {key: value for key, value in environment.items() if key.startswith("PYTHON")}
    for command in python.parent.iterdir():
        if command.name not in ("python", "dvc"):
            (folder / command.name).symlink_to(command)
            continue
        client = folder / command.name
        client.write_text(CLIENT.format(python=python, bin=str(python.parent), address=address, options=options))
        client.chmod(0o755)
    server = subprocess.Popen(
        [python, __file__, address], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout
    assert server.stdout.readline() == "ready\n"
    return server


def serve(address: str) -> None:
    """Never returns: the server ends with the process that started it, and each forked process with its command."""
    parent = os.getppid()
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "ORT_DISABLE_TELEMETRY": "1"}
    for module in IMPORTED:
        importlib.import_module(module)
    gc.freeze()  # a collection in a forked process would copy all of this
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that are forked here
    print("ready", flush=True)
    listener.settimeout(5)
    while os.getppid() == parent:
        with suppress(TimeoutError):
            client, _ = listener.accept()
            if not os.fork():
                listener.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                attend(client)
            client.close()


def attend(client: socket.socket) -> NoReturn:
    """Run the command in a process of its own, and tell the client how it ends."""
    header, files, _, _ = socket.recv_fds(client, 4, 3)
    request = client.recv(struct.unpack("I", header)[0], socket.MSG_WAITALL)
    os.setsid()
    command = os.fork()
    if command:
        os.setpgid(command, command)  # here and there, so that the group exists before the first signal
        threading.Thread(target=pass_on_signals, args=(client, command), daemon=True).start()
        _, status = os.waitpid(command, 0)
        client.send(struct.pack("i", os.waitstatus_to_exitcode(status)))
        os._exit(0)
    os.setpgid(0, 0)
    client.close()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os._exit(run(*json.loads(request)))


def pass_on_signals(client: socket.socket, command: int) -> None:
    with suppress(ProcessLookupError):  # it has ended
        while number := client.recv(1):
            os.killpg(command, number[0])
        os.killpg(command, signal.SIGKILL)  # the client was killed


def run(name: str, arguments: list[str], folder: str, environment: dict[str, str]) -> int:
    """Run the command, and return its exit code. What is imported is left to the system, which is faster."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = folder
    try:
        if name == "dvc":
            import dvc.cli

            sys.argv = [name, *arguments]
            sys.exit(dvc.cli.main())
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        return 0
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    serve(sys.argv[1])
