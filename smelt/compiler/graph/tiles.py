"""Tiles of an axis: how an extent is cut into pieces of one size and a smaller one at the end."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tiles:
    """`count` tiles of `size` elements along an axis, the first at `start`."""

    start: int
    count: int
    size: int


def tiles(extent: int, size: int) -> tuple[Tiles, ...]:
    """Returns an extent in tiles of a size, and perhaps one smaller tile at the end."""
    full = extent // size
    result = [Tiles(0, full, size)] if full else []
    if extent % size:
        result.append(Tiles(full * size, 1, extent % size))
    return tuple(result)


def even_size(extent: int, limit: int, step: int = 1) -> int:
    """Returns the size, up to `limit`, that makes about equal tiles of an extent; 0 for limit 0.

    With a `step`, sizes are multiples of it.
    """
    if not limit:
        return 0
    count = -(-extent // limit)
    return -(-extent // count // step) * step if step > 1 else -(-extent // count)
