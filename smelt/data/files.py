"""The files of public data sets: found on this machine, or downloaded; always verified.

A folder of data sets has a folder for each, with its name in the catalog:

    mnist/train-images-idx3-ubyte.gz
    sst2/train.tsv
"""

from __future__ import annotations

import difflib
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from smelt import paths
from smelt.data.catalog import DATASETS, SourceFile
from smelt.data.download import download
from smelt.errors import ArgumentError, FileError

__all__ = ["fetch"]

Folder = str | os.PathLike[str] | None
Value = TypeVar("Value")


def fetch(dataset: str, file: str, folder: Folder = None) -> bytes:
    """Returns a file of a public data set.

    Args:
        dataset: a name in `DATASETS`, such as "sst2".
        file: one of its files, such as "train.tsv".
        folder: the folder of data sets, which must have it. When None, the file is looked for in
            the folder of the environment variable SMELT_DATA, then in Smelt's cache folder; if
            neither has it, it is downloaded to the latter.

    Returns:
        The contents, whose SHA-256 is the published one.

    Raises:
        ArgumentError: there is no such data set or file.
        FileError: the file is damaged, or is missing and cannot be downloaded.
    """
    known = _chosen(_chosen(DATASETS, dataset, "data set").files, file, f"file of {dataset}")
    if folder is not None:
        return _read(Path(folder) / dataset / file, known)
    cached = paths.cache() / "data" / dataset / file
    for path in (*_named(dataset, file), cached):
        if path.exists():
            return _read(path, known)
    return download(known, cached)


def _named(dataset: str, file: str) -> list[Path]:
    given = os.environ.get("SMELT_DATA")
    return [Path(given) / dataset / file] if given else []


def _read(path: Path, known: SourceFile) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        dataset = path.parent  # in the folder that was named
        if (dataset.parent / path.name).exists():
            raise FileError(
                f"{path}: there is no such file; name the folder above that of the data set, "
                f"{dataset.parent.absolute().parent}, not {dataset.parent}"
                if dataset.parent.absolute().name == dataset.name
                else f"{path}: there is no such file; put {path.name} in a folder {dataset.name}"
            ) from None
        raise FileError(
            f"{path}: there is no such file; it is downloaded if no folder of data sets is given "
            "(as folder=, or --data on the command line)"
        ) from None
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror})") from None
    if (sha256 := hashlib.sha256(content).hexdigest()) != known.sha256:
        raise FileError(
            f"{path}: is damaged (SHA-256 {sha256}, published {known.sha256}); delete it, and it "
            "will be downloaded again"
        )
    return content


def _chosen(choices: Mapping[str, Value], name: str, what: str) -> Value:
    if name in choices:
        return choices[name]
    near = difflib.get_close_matches(name, choices, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(choices))}"
    raise ArgumentError(f"there is no {what} called {name!r}; {hint}")
