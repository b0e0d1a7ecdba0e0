"""URLs of sources: no secret stands in them, and no message shows one."""

import pytest

from pipeline.cli import UserError, hide_secrets
from pipeline.corpus.urls import expand_variables, public_name, require_no_secret

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    "url",
    [
        f"https://someone:{SECRET}@example.org/x.zip",
        f"https://{SECRET}@example.org/x.zip",
        f"https://example.org/x.zip?token={SECRET}",
        f"https://example.org/x.zip?page=1&X-Amz-Signature={SECRET}",
        f"https://example.org/x.zip?sv=1&sig={SECRET}#top",
        f"https://someone:{SECRET}@example.org:port[/x.zip",
    ],
)
def test_url_with_a_secret_is_rejected_by_a_message_without_it(url: str) -> None:
    with pytest.raises(UserError) as error:
        require_no_secret(url)

    assert SECRET not in str(error.value)
    assert "example.org" in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/x.zip",
        "https://example.org/x.zip?download=1&version=3",
        "https://${NAME}:${PASSWORD}@example.org/x.zip",
        "https://example.org/x.zip?token=${TOKEN}",
    ],
)
def test_url_without_a_secret_is_accepted(url: str) -> None:
    require_no_secret(url)

    assert public_name(url) == "https://example.org/x.zip"


def test_variables_are_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", SECRET)
    monkeypatch.delenv("MISSING", raising=False)

    assert expand_variables("https://example.org/?token=${TOKEN}") == f"https://example.org/?token={SECRET}"
    with pytest.raises(UserError, match="environment variable MISSING, which is not set"):
        expand_variables("https://example.org/?token=${MISSING}")


def test_messages_show_no_secret_of_a_url() -> None:
    text = f"cannot read http://ada:{SECRET}@host:5000/api (see https://host/x?token={SECRET}&sig={SECRET}); check it"

    hidden = hide_secrets(text)

    assert SECRET not in hidden
    assert "http://***@host:5000/api" in hidden
    assert hidden.endswith("; check it")
