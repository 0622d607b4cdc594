"""E4.a: a table is read from a CSV file, and its columns are normalized in both usual ways."""

from __future__ import annotations

import csv
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from smelt import data
from smelt.book.entry import Page, entry

ROWS = 1000
NAMES = [f"feature{number}" for number in range(1, 6)]
# minimum, maximum, mean and population standard deviation of the book's own file
BOOK = {
    "feature1": (0.00, 99.99, 50.5837, 28.5225),
    "feature2": (0.15, 99.99, 50.2948, 28.5836),
    "feature3": (0.09, 99.97, 48.9665, 28.6513),
    "feature4": (0.00, 99.96, 49.3520, 28.6118),
    "feature5": (0.07, 99.92, 51.3683, 28.8819),
}


def write_table(path: Path, seed: int) -> np.ndarray:
    """Writes 1000 rows of five numbers from U(0, 100), two decimals each, and returns them."""
    values = np.random.default_rng(seed).uniform(0, 100, (ROWS, len(NAMES))).round(2)
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(NAMES)
        writer.writerows(values.tolist())
    return values


@entry("E4.a", "A CSV file is read and its columns are normalized")
def normalize_columns(page: Page) -> None:
    """Reads five columns of a thousand numbers and brings them to one scale.

    The book shows this in Python and in Rust, but not by which formula, and the program that goes
    with it only prints the rows; here are both formulas that are in use. *Standardizing* takes away
    a column's mean and divides by its standard deviation; *min-max* maps its smallest value to 0
    and its largest to 1. Either is first *fitted*, on training rows only, then *applied* to any
    rows, so that nothing of the test rows leaks into training.

    The book's file holds numbers that look uniform on [0, 100). A seeded table of the same kind
    stands in for it; its columns have nearly the same facts.
    """
    with TemporaryDirectory() as folder:
        written = write_table(Path(folder) / "data.csv", page.seed)
        table = data.read_csv(Path(folder) / "data.csv")
    x = table.tensor()  # (1000, 5)
    page.print("columns", table.names, "rows", len(table))

    standardize = data.StandardScaler().fit(x)
    min_max = data.MinMaxScaler().fit(x)
    page.table(
        ["column", "min", "max", "mean", "std", "book: min", "max", "mean", "std"],
        [
            (name, *facts, *BOOK[name])
            for name, facts in zip(NAMES, column_facts(written), strict=True)
        ],
    )
    z, u = standardize.transform(x).numpy(), min_max.transform(x).numpy()
    page.print("first row      ", x.numpy()[0])
    page.print("  standardized ", z[0].round(4))
    page.print("  min-max      ", u[0].round(4))

    same = np.array_equal(x.numpy(), written.astype(np.float32))
    page.claim("what was written is what is read", (ROWS, 5), x.shape, same)
    claim_standardized(page, standardize, written, z)
    claim_min_max(page, min_max, written, u)
    claim_facts(page, written)


def column_facts(values: np.ndarray) -> list[tuple[float, ...]]:
    """Returns minimum, maximum, mean and population standard deviation of each column."""
    facts = (values.min(0), values.max(0), values.mean(0), values.std(0))
    return [tuple(column) for column in np.stack(facts, 1).round(4).tolist()]


def claim_standardized(
    page: Page, fitted: data.StandardScaler, written: np.ndarray, z: np.ndarray
) -> None:
    """The fitted numbers are NumPy's; afterwards means are 0, deviations 1; it can be undone."""
    error = max(
        np.abs(np.asarray(fitted.mean_) - written.mean(0)).max(),
        np.abs(np.asarray(fitted.scale_) - written.std(0)).max(),
    )
    page.claim("mean and std as NumPy's", "error < 1e-4", error, error < 1e-4)
    off = max(np.abs(z.mean(0)).max(), np.abs(z.std(0) - 1).max())
    page.claim("standardized: means 0, deviations 1", "off by < 1e-5", off, off < 1e-5)
    back = np.abs(np.asarray(fitted.inverse_transform(z)) - written).max()
    page.claim("standardizing can be undone", "error < 1e-4", back, back < 1e-4)


def claim_min_max(
    page: Page, fitted: data.MinMaxScaler, written: np.ndarray, u: np.ndarray
) -> None:
    """Each column now begins at exactly 0 and ends at exactly 1."""
    ends = [float(u.min()), float(u.max()), float(u.min(0).max()), float(u.max(0).min())]
    page.claim("min-max: every column from 0 to 1", [0, 1, 0, 1], ends, ends == [0, 1, 0, 1])
    back = np.abs(np.asarray(fitted.inverse_transform(u)) - written).max()
    page.claim("min-max can be undone", "error < 1e-4", back, back < 1e-4)


def claim_facts(page: Page, written: np.ndarray) -> None:
    """Our stand-in resembles the book's file: means within 5 of it, deviations within 2."""
    ours, theirs = np.array(column_facts(written)), np.array([BOOK[name] for name in NAMES])
    apart = np.abs(ours - theirs).max(axis=0)  # (4,): of min, max, mean, std
    close = bool((apart < [1, 1, 5, 2]).all())
    page.claim("columns like the book's file", "apart < [1, 1, 5, 2]", apart.round(2), close)
