"""Downloads with pooch: files are kept only if their SHA-256 is right."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

from smelt.atomic import read_bytes, writable_folder
from smelt.data.catalog import SourceFile
from smelt.errors import FileError, MissingExtra

__all__ = ["download"]

PATIENCE = 30.0  # seconds without an answer
RETRIES = 2  # of an address that fails, after one second, then after two
MEGABYTE = 1e6


def download(file: SourceFile, path: Path) -> bytes:
    """Downloads a file from the first address that works, and saves it at `path`.

    Args:
        file: its addresses, size and SHA-256.
        path: where to save it, completely or not at all; parent folders are created.

    Returns:
        The contents.

    Raises:
        FileError: the folder cannot be written, or no address works: the message gives the reason
            for each.
        MissingExtra: pooch is not installed.
    """
    try:
        import pooch
    except ImportError:
        raise MissingExtra("fetching data sets", "download") from None
    writable_folder(path.parent)
    print(f"smelt: downloading {path.name} ({file.size / MEGABYTE:.1f} MB)", file=sys.stderr)
    pooch.get_logger().setLevel(logging.ERROR)  # whose lines would stand beside ours
    failures = []
    for url in file.urls:
        source = pooch.create(
            path.parent,
            base_url="",
            registry={path.name: f"sha256:{file.sha256}"},
            urls={path.name: url},
            retry_if_failed=RETRIES,
        )
        fetch = pooch.HTTPDownloader(timeout=PATIENCE, progressbar=_Followed(file.size))
        try:
            source.fetch(path.name, downloader=fetch)
        except (OSError, ValueError) as failure:  # a ValueError is pooch's, of another SHA-256
            failures.append(f"\n  {url}: {failure or type(failure).__name__}")
        else:
            return read_bytes(path)
    raise FileError(
        f"{path.name} cannot be downloaded:{''.join(failures)}\nWithout a network, put the file "
        f"(SHA-256 {file.sha256}) at {path}, or name a folder of data sets in the environment "
        "variable SMELT_DATA"
    )


class _Followed:
    """Shows how far a download is, in a terminal, and ends one that is longer than its file.

    Args:
        size: of the file, in bytes.
    """

    def __init__(self, size: int) -> None:
        from tqdm import tqdm

        self.total = self.size = size  # pooch sets `total` to what the server promises
        self._done = 0
        self._bar: Any = tqdm(
            total=size, unit="B", unit_scale=True, leave=False, disable=not sys.stderr.isatty()
        )

    def update(self, count: int) -> None:
        """Hears of more bytes."""
        self._done += count
        if self._done > self.size:
            raise FileError(f"sent more than the file's {self.size} bytes")
        self._bar.update(count)

    def reset(self) -> None:
        """Hears that the download is over, or begins again."""
        self._done = 0
        self._bar.reset()

    def close(self) -> None:
        """Takes the bar away."""
        self._bar.close()
