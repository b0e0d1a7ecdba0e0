"""A browser for tests, as a person has one: the Chromium that is installed, without its window."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

DESKTOP, PHONE = (1600, 1000), (390, 844)


def installed() -> str | None:
    return shutil.which("chromium") or shutil.which("google-chrome")


@contextmanager
def chromium() -> Iterator[Browser]:
    expect.set_options(timeout=30_000)  # what is to be seen may take long to come while all cores are busy
    # As root it runs without its sandbox, or not at all.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=installed(), args=arguments) as browser,
    ):
        yield browser


class Visit:
    """A page, what it asks for, and what the browser's console says is wrong with it."""

    def __init__(self, context: BrowserContext) -> None:
        self.page = context.new_page()
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on(
            "console",
            lambda message: self.complaints.append(message.text) if message.type in ("error", "warning") else None,
        )
