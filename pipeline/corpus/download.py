"""Downloading a file: with a progress bar, retries, and a transfer cut short taken up where it ended."""

import time
from pathlib import Path

import requests
from tqdm import tqdm
from urllib3.exceptions import LocationParseError

from pipeline.cli import UserError

TRIES = 4
TIMEOUT = (10, 60)  # seconds to connect, and between two pieces of the answer
PIECE = 1 << 16


def download(url: str, target: Path, pause: float = 1.0) -> None:
    """Write what `url` answers into `target`; between tries it waits `pause`, 2·`pause`, 4·`pause` seconds.

    Raises Stop when the server refuses (4xx), or when the last try did not reach the end of the file.
    """
    for attempt in range(1, TRIES + 1):
        try:
            return transfer(url, target)
        except LocationParseError as error:
            raise UserError(f"{url} is not a URL one can ask ({error}); check fetch.source") from None
        except requests.RequestException as error:
            response = error.response
            if response is not None and response.status_code < 500 and response.status_code not in (408, 429):
                raise UserError(
                    f"{url} answered {response.status_code} {response.reason}; check fetch.source"
                ) from None
            if isinstance(error, requests.exceptions.InvalidURL):
                raise UserError(f"{url} is not a URL one can ask; check fetch.source") from None
            if attempt == TRIES:
                raise UserError(
                    f"{url} could not be fetched in {TRIES} tries ({reason(error)}); "
                    "check the network, or give fetch.source a local path"
                ) from None
            print(f"  {reason(error)}; trying again ({attempt + 1} of {TRIES})")
            time.sleep(pause * 2 ** (attempt - 1))


def transfer(url: str, target: Path) -> None:
    """One try. Goes on after the bytes that `target` holds, if the server can; else starts again."""
    have = target.stat().st_size if target.exists() else 0
    # Without content encoding the length that is announced is the length that is written.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if response.status_code == 416:  # nothing is left after `have`, or the file changed meanwhile: start again
            target.unlink()
            raise requests.ConnectionError("the server's file has changed")
        response.raise_for_status()
        resumed = response.status_code == 206
        length = int(response.headers.get("Content-Length", 0)) + (have if resumed else 0)
        with (
            target.open("ab" if resumed else "wb") as file,
            # disable=None: no bar where there is no terminal
            tqdm(
                desc="  download",
                total=length or None,
                initial=have if resumed else 0,
                unit="B",
                unit_scale=True,
                disable=None,
            ) as bar,
        ):
            for piece in response.iter_content(PIECE):
                file.write(piece)
                bar.update(len(piece))


def reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the transfer was cut short"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return " ".join(str(error).split())
