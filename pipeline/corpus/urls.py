"""URLs of sources: they hold no secret, but may name one, `https://host/corpus.zip?token=${TOKEN}`.

The content of params.yaml is copied into `dvc.lock`, MLflow and the reports. So a secret is taken from the environment
when the corpus is downloaded. The credentials of `~/.netrc` are used without being named.
"""

import os
import re
from urllib.parse import parse_qsl, urlsplit

from pipeline.cli import UserError

VARIABLE = re.compile(r"\$\{(\w+)\}")
SECRET_NAME = re.compile(r"(?i)token|secret|passw|pwd|key|sig|auth|cred|session|^x-amz-|^x-goog-")


def require_no_secret(url: str) -> None:
    """Raises UserError for a URL that is not valid, or that holds a password, a token or the like."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise UserError(f"fetch.source is not a valid URL ({error}): {public_name(url)}") from None
    userinfo = parts.netloc.rpartition("@")[0]
    secrets = ["a user name or password"] if VARIABLE.sub("", userinfo).strip(":") else []
    secrets += [
        f"a value of {name}"
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
        if SECRET_NAME.search(name) and VARIABLE.sub("", value)
    ]
    if secrets:
        raise UserError(
            f"fetch.source contains {secrets[0]}, which would be copied into dvc.lock and MLflow: put it into an "
            f"environment variable and write ${{NAME}} in its place, or use ~/.netrc: {public_name(url)}"
        )


def expand_variables(url: str) -> str:
    """The URL with the environment's values in place of `${NAME}`. Raises UserError for a variable that is not set."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise UserError(f"fetch.source needs the environment variable {match[1]}, which is not set")
        return os.environ[match[1]]

    return VARIABLE.sub(value, url)


def public_name(url: str) -> str:
    """The URL without user, password, query and fragment, for messages and artifacts."""
    scheme, separator, rest = url.partition("://")
    authority, slash, path = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    return f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path}"
