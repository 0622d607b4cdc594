"""E7.0, F7.1, F7.2: a moving average is a convolution."""

from __future__ import annotations

from datetime import date

import numpy as np

import smelt
import smelt.nn.functional as F
from smelt import data, plot
from smelt.book.entry import Page, entry
from smelt.data import Table

WIDTH = 5
DATE, CLOSE = "Date", "AAPL.Close"


def prices(page: Page) -> Table:
    """Apple's daily prices, 2015-02-17 to 2017-02-16; the book's own dates are not given."""
    return data.load_apple_stock(page.data)


def days(table: Table) -> list[date]:
    """Returns the dates of the prices."""
    return [date.fromisoformat(day) for day in table[DATE]]


def smooth(series: np.ndarray) -> np.ndarray:
    """Returns y(n) = 0.2 (x(n-4) + ... + x(n)), for all n that have four days before them."""
    kernel = smelt.full((WIDTH,), 1 / WIDTH)  # adds up to 1
    return F.convolve(series, kernel, "valid").numpy()


@entry("E7.0", "A moving average of five days")
def moving_average(page: Page) -> None:
    """Slides the kernel [0.2, 0.2, 0.2, 0.2, 0.2] over Apple's daily closing price.

        y(n) = sum over i of x(i) k(n - i),  in continuous time  y(t) = int x(s) k(t - s) ds

    Each output is the mean of five days. The kernel adds up to 1, so the level stays; what changes
    from day to day averages out. A network's convolution does the same with weights that it learns.
    """
    close = prices(page)[CLOSE]
    y = smooth(close)
    page.table(
        ["day", "price", "mean of 5 days"],
        [(day, close[day], y[day - WIDTH + 1]) for day in range(WIDTH - 1, WIDTH + 5)],
    )
    page.claim("days of the average", len(close) - WIDTH + 1, len(y), len(y) == len(close) - 4)
    direct = np.convolve(close.astype(np.float64), np.full(WIDTH, 0.2), "valid")
    error = float(np.abs(y - direct).max())
    page.claim("NumPy's convolution", "error < 1e-4", error, error < 1e-4)
    rough, calm = (float(np.abs(np.diff(series)).mean()) for series in (close, y))
    page.claim("mean change from day to day", f"< {rough:.4f} / 2", calm, calm < rough / 2)


@entry("F7.1", "Apple's daily price")
def raw_prices(page: Page) -> None:
    """The closing price of two years, day by day."""
    table = prices(page)
    figure = plot.moving_average(
        table[CLOSE], dates=days(table), title="Apple, closing price", y_label="US dollars"
    )
    page.figure("prices", figure)
    count, lowest, highest = len(table), float(table[CLOSE].min()), float(table[CLOSE].max())
    page.claim("trading days", 506, count, count == 506)
    page.claim("lowest and highest", (90.34, 135.51), (lowest, highest),
               round(lowest, 2) == 90.34 and round(highest, 2) == 135.51)  # fmt: skip


@entry("F7.2", "Apple's price, smoothed")
def smoothed_prices(page: Page) -> None:
    """The same with its moving average, which follows two days late: its window looks back."""
    table = prices(page)
    close, y = table[CLOSE], smooth(table[CLOSE])
    figure = plot.moving_average(
        close, {"mean of 5 days": y}, dates=days(table), title="Apple, smoothed",
        y_label="US dollars",
    )  # fmt: skip
    page.figure("smoothed", figure)
    errors = [float(np.abs(y[late:] - close[4 : len(close) - late]).mean()) for late in range(5)]
    best = int(np.argmin(errors))
    page.claim("the average is late by", "2 days", f"{best} days", best == 2)
