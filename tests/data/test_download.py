"""Files from the network, from a server within the test."""

from __future__ import annotations

import hashlib
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from smelt.data.catalog import DATASETS, SourceFile
from smelt.data.download import download
from smelt.errors import FileError, MissingExtra

pytest.importorskip("pooch")
CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Answers(BaseHTTPRequestHandler):
    """What the server says at each address."""

    def do_GET(self) -> None:
        if self.path == "/missing" or (self.path == "/second" and self.asked(1)):
            self.send_error(404)
            return
        body = {"/longer": CONTENT + b"!", "/other": CONTENT[::-1]}.get(self.path, CONTENT)
        self.send_response(200)
        if self.path != "/silent":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:-100] if self.path in ("/truncated", "/silent") else body)

    asks = 0

    def asked(self, times: int) -> bool:
        """Whether this is one of the first requests."""
        Answers.asks += 1
        return Answers.asks <= times

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures are not tried again, which takes seconds."""
    monkeypatch.setattr("smelt.data.download.RETRIES", 0)


def file_at(*urls: str) -> SourceFile:
    return SourceFile(len(CONTENT), SHA256, urls)


def unused_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_a_file_is_fetched_and_kept(
    server: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "below" / "file"
    assert download(file_at(f"{server}/whole"), path) == CONTENT
    assert path.read_bytes() == CONTENT
    assert [other.name for other in path.parent.iterdir()] == ["file"]
    assert capsys.readouterr().err == "smelt: downloading file (0.0 MB)\n"


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("missing", "404 Client Error"),
        ("other", "SHA256 hash .* does not match"),
        ("truncated", "10140 bytes read"),
        ("silent", "SHA256 hash .* does not match"),
        ("longer", "sent more than the file's 10240 bytes"),
    ],
)
def test_what_is_not_the_file_is_not_kept(
    server: str, address: str, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(FileError, match=reason) as caught:
        download(file_at(f"{server}/{address}"), tmp_path / "file")
    assert f"{server}/{address}: " in str(caught.value)
    assert "Without a network" in str(caught.value)
    assert str(tmp_path / "file") in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_refused_connection_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="refused(.|\n)*SMELT_DATA"):
        download(file_at(f"http://127.0.0.1:{unused_port()}/file"), tmp_path / "file")


def test_the_next_address_helps_where_one_fails(server: str, tmp_path: Path) -> None:
    urls = (f"{server}/missing", f"{server}/other", f"{server}/whole")
    assert download(file_at(*urls), tmp_path / "file") == CONTENT


def test_an_address_that_fails_once_is_asked_again(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smelt.data.download.RETRIES", 1)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    assert download(file_at(f"{server}/second"), tmp_path / "file") == CONTENT
    assert Answers.asks == 2


def test_without_pooch_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingExtra, match=r"smelt-learn\[download\]"):
        download(file_at("http://127.0.0.1:1/file"), tmp_path / "file")


def test_a_folder_that_cannot_be_made_is_named_before_anything_is_fetched(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(FileError, match="cannot be a folder"):
        download(file_at("http://127.0.0.1:1/file"), tmp_path / "taken" / "file")


def test_every_file_of_the_catalog_can_be_checked_and_found() -> None:
    for source in DATASETS.values():
        assert source.title
        assert source.origin
        assert source.license
        for name, file in source.files.items():
            assert len(bytes.fromhex(file.sha256)) == 32
            assert file.size > 0
            assert file.urls
            assert all(url.startswith("https://") and url.endswith("/" + name) for url in file.urls)
