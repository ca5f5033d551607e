"""One file of the web, whole. What keeps it away is said in one line."""

import http.client
import urllib.error
import urllib.request

from harness.errors import DataError

PATIENCE_SECONDS = 60.0


def download(url: str) -> bytes:
    """Return a file of the web.

    Raises:
        DataError: if it cannot be had, saying why.
    """
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - constants of the task modules
            content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        code = f"{error.code} " if isinstance(error, urllib.error.HTTPError) else ""
        raise DataError(f"{url} cannot be had ({code}{reason or type(error).__name__})") from error
    assert isinstance(content, bytes)
    return content
