"""Downloading, from a real web server on this machine that refuses, stumbles and breaks off."""

import re
import socket
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from pipeline.cli import UserError
from pipeline.corpus.download import TRIES, download

CONTENT = bytes(range(256)) * 2000
CUT = 300_001


class Server:
    """Answers with CONTENT; the first `cuts` times only with part of it, and at first with the `errors`."""

    def __init__(self, errors: tuple[int, ...] = (), cuts: int = 0, ranges: bool = True) -> None:
        self.errors, self.cuts, self.ranges = list(errors), cuts, ranges
        self.asked: list[int] = []  # the first byte that each request is for

    def __call__(self, request: BaseHTTPRequestHandler) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", "bytes=0-"))
        assert wanted
        self.asked.append(int(wanted[1]))
        if self.errors:
            return request.send_error(self.errors.pop(0))
        start = self.asked[-1] if self.ranges else 0
        if start >= len(CONTENT):
            return request.send_error(416)
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        request.send_header("Content-Length", str(len(CONTENT) - start))
        request.end_headers()
        if len(self.asked) <= self.cuts:
            request.wfile.write(CONTENT[start : start + CUT])
        else:
            request.wfile.write(CONTENT[start:])


def test_a_whole_file_arrives(serve: Callable, tmp_path: Path) -> None:
    server = Server()

    download(serve(server), tmp_path / "file", "the corpus", pause=0)

    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.asked == [0]


def test_a_refusal_is_final(serve: Callable, tmp_path: Path) -> None:
    server = Server(errors=(404,))
    url = serve(server) + "/posts.zip"

    with pytest.raises(UserError, match=r"^the corpus returned 404 Not Found; check fetch\.source$"):
        download(url, tmp_path / "file", "the corpus", pause=0)

    assert len(server.asked) == 1


@pytest.mark.parametrize("error", [503, 429])
def test_a_server_that_is_busy_is_asked_again(
    serve: Callable, tmp_path: Path, error: int, capsys: pytest.CaptureFixture
) -> None:
    download(serve(Server(errors=(error, error))), tmp_path / "file", "the corpus", pause=0)

    assert (tmp_path / "file").read_bytes() == CONTENT
    output = capsys.readouterr().out
    assert re.search(rf"^  {error} [A-Z].*; trying again \(3 of {TRIES}\)$", output, re.MULTILINE)


def test_a_transfer_cut_short_is_taken_up_where_it_ended(serve: Callable, tmp_path: Path) -> None:
    server = Server(cuts=1)

    download(serve(server), tmp_path / "file", "the corpus", pause=0)

    assert (tmp_path / "file").read_bytes() == CONTENT
    first, second = server.asked
    assert first == 0 < second <= CUT


def test_a_server_without_ranges_is_read_from_the_start_again(serve: Callable, tmp_path: Path) -> None:
    server = Server(cuts=1, ranges=False)

    download(serve(server), tmp_path / "file", "the corpus", pause=0)

    assert (tmp_path / "file").read_bytes() == CONTENT
    first, second = server.asked
    assert first == 0 < second <= CUT


def test_a_file_that_has_become_shorter_is_read_from_the_start_again(serve: Callable, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"older and longer" * len(CONTENT))
    server = Server()

    download(serve(server), tmp_path / "file", "the corpus", pause=0)

    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.asked == [16 * len(CONTENT), 0]


def test_a_transfer_always_cut_short_is_given_up(serve: Callable, tmp_path: Path) -> None:
    server = Server(cuts=TRIES, ranges=False)

    with pytest.raises(UserError, match=rf"could not be downloaded in {TRIES} tries \(the transfer was interrupted\)"):
        download(serve(server), tmp_path / "file", "the corpus", pause=0)

    assert len(server.asked) == TRIES


def test_a_port_where_nobody_listens_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    with pytest.raises(
        UserError, match=rf"could not be downloaded in {TRIES} tries \(no connection\); check the network"
    ):
        download(f"http://127.0.0.1:{port}/", tmp_path / "file", "the corpus", pause=0)


@pytest.mark.parametrize("url", ["http://", "http://127.0.0.1:99999/"])
def test_an_address_that_is_none_is_rejected(tmp_path: Path, url: str) -> None:
    with pytest.raises(UserError, match=r"^the corpus is not a valid URL; check fetch\.source$"):
        download(url, tmp_path / "file", "the corpus", pause=0)
