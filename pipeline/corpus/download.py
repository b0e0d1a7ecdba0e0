"""Download a file, with a progress bar and retries that resume an interrupted transfer."""

import time
from pathlib import Path

import requests
from tqdm import tqdm
from urllib3.exceptions import LocationParseError

from pipeline.cli import UserError

TRIES = 4
TIMEOUT = (10, 60)  # seconds to connect, and between two chunks
CHUNK = 1 << 16


def download(url: str, target: Path, name: str, pause: float = 1.0) -> None:
    """Write the response of `url` to `target`; waits `pause`, 2 * `pause`, 4 * `pause` seconds between tries.

    Messages show the `name` of the URL, which holds no secret.

    Raises UserError if the server refuses (4xx), or the last try did not reach the end of the file.
    """
    for attempt in range(1, TRIES + 1):
        try:
            return transfer(url, target)
        except LocationParseError:
            raise UserError(f"{name} is not a valid URL; check fetch.source") from None
        except requests.RequestException as error:
            response = error.response
            if response is not None and response.status_code < 500 and response.status_code not in (408, 429):
                raise UserError(
                    f"{name} returned {response.status_code} {response.reason}; check fetch.source"
                ) from None
            if isinstance(error, requests.exceptions.InvalidURL):
                raise UserError(f"{name} is not a valid URL; check fetch.source") from None
            if attempt == TRIES:
                raise UserError(
                    f"{name} could not be downloaded in {TRIES} tries ({reason(error)}); "
                    "check the network, or set fetch.source to a local path"
                ) from None
            print(f"  {reason(error)}; trying again ({attempt + 1} of {TRIES})")
            time.sleep(pause * 2 ** (attempt - 1))


def transfer(url: str, target: Path) -> None:
    """Try once. Resumes after the bytes that `target` holds if the server can; otherwise starts again."""
    have = target.stat().st_size if target.exists() else 0
    # Without content encoding, Content-Length is the number of bytes written.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if response.status_code == 416:  # nothing is left to send, or the file has changed: start again
            target.unlink()
            raise requests.ConnectionError("the server's file has changed")
        response.raise_for_status()
        resumed = response.status_code == 206
        length = int(response.headers.get("Content-Length", 0)) + (have if resumed else 0)
        with (
            target.open("ab" if resumed else "wb") as file,
            tqdm(
                desc="  download",
                total=length or None,
                initial=have if resumed else 0,
                unit="B",
                unit_scale=True,
                disable=None,
            ) as bar,
        ):
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))


def reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "timeout"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the transfer was interrupted"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    if error.response is not None:
        return f"{error.response.status_code} {error.response.reason}"
    return type(error).__name__  # its message may show the URL with its secrets
