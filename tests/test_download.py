"""Files of the web: whole, or one line that says why not."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from harness.download import download
from harness.errors import DataError
from harness.rows import parse_rows


class _Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        is_there = self.path == "/rows.csv"
        self.send_response(200 if is_there else 404)
        self.end_headers()
        self.wfile.write("a,b\r\n1,é\r\n".encode() if is_there else b"no")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[str]:
    """Serve one file on this machine."""
    server = HTTPServer(("127.0.0.1", 0), _Site)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_file_comes_whole(site: str) -> None:
    """Its rows are read by the end of its name."""
    url = f"{site}/rows.csv"
    assert list(parse_rows(download(url), url)) == [{"a": "1", "b": "é"}]


def test_what_keeps_a_file_away_is_said_in_one_line(site: str, tmp_path: Path) -> None:
    """The server's answer, or that there is no such place."""
    with pytest.raises(DataError, match=rf"{site}/none cannot be had \(404 Not Found\)"):
        download(f"{site}/none")
    with pytest.raises(DataError, match=r"none.txt cannot be had \(.*No such file"):
        download((tmp_path / "none.txt").as_uri())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.json", b'{"a": 1}', "x.json is not an array of JSON objects"),
        ("x.json", b"[", "cannot read x.json"),
        ("x.jsonl", b'{"a": 1}\n[2]\n', "x.jsonl line 2 is not a JSON object"),
        ("x.csv", b"\xff\xfe", "cannot read x.csv"),
    ],
)
def test_content_that_is_no_rows_is_named(name: str, content: bytes, message: str) -> None:
    """A page of errors is no data set."""
    with pytest.raises(DataError, match=message):
        list(parse_rows(content, name))
