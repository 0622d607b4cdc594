"""Files from the network: kept only when they are, to the last bit, what they should be."""

from __future__ import annotations

import hashlib
import sys
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

from smelt.atomic import writable_folder, write_bytes
from smelt.data.catalogue import SourceFile
from smelt.errors import FileError

__all__ = ["download"]

PATIENCE = 30.0  # seconds without an answer
MEGABYTE = 1e6


def download(file: SourceFile, path: Path) -> bytes:
    """Fetches a file from the first address that serves it, and keeps it at `path`.

    Args:
        file: its addresses, size and SHA-256.
        path: where it goes, whole or not at all; folders above it are made.

    Returns:
        The contents.

    Raises:
        FileError: the folder cannot be written, or no address serves the file: for each of them
            the message says why.
    """
    writable_folder(path.parent)
    print(f"smelt: fetching {path.name} ({file.size / MEGABYTE:.1f} MB)", file=sys.stderr)
    failures = []
    for url in file.urls:
        try:
            content = _fetched(url, file)
        except (OSError, HTTPException) as failure:
            failures.append(f"\n  {url}: {failure or type(failure).__name__}")
        else:
            write_bytes(path, content)
            return content
    raise FileError(
        f"{path.name} cannot be fetched:{''.join(failures)}\n"
        f"Without a network, put the file (SHA-256 {file.sha256}) at {path}, "
        "or name a folder of data sets by SMELT_DATA"
    )


def _fetched(url: str, file: SourceFile) -> bytes:
    """Returns what an address serves; raises OSError or HTTPException unless it is the file."""
    with urlopen(url, timeout=PATIENCE) as answer:
        content = answer.read(file.size + 1)  # whatever it sends, no more than that is taken
    if len(content) != file.size:
        more = "more than " if len(content) > file.size else ""
        raise FileError(f"sent {more}{min(len(content), file.size)} of {file.size} bytes")
    if (sha256 := hashlib.sha256(content).hexdigest()) != file.sha256:
        raise FileError(f"sent another file (SHA-256 {sha256})")
    return content
