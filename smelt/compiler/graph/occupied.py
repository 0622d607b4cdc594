"""Occupied memory: which bytes of a block are taken at which times, and where a value still fits.

Times are the leaves of a binary tree (a segment tree). A value is entered at the few nodes that
together cover its live range, so a lookup visits few nodes, however many values there are. At a
node adjacent spans are merged, and memory that is packed well has few gaps.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right


class Spans:
    """Bytes that are taken: spans in order, no two of which touch."""

    def __init__(self) -> None:
        self.begins: list[int] = []
        self.ends: list[int] = []

    def add(self, begin: int, end: int) -> None:
        """Takes the bytes from `begin` up to, but not including, `end`."""
        first, last = bisect_left(self.ends, begin), bisect_right(self.begins, end)
        if first < last:
            begin, end = min(begin, self.begins[first]), max(end, self.ends[last - 1])
        self.begins[first:last], self.ends[first:last] = [begin], [end]

    def behind(self, offset: int, nbytes: int) -> int:
        """Returns the end of the first span that `nbytes` bytes at an offset overlap; if there is
        none, the offset.
        """
        place = bisect_right(self.ends, offset)
        meets = place < len(self.ends) and self.begins[place] < offset + nbytes
        return self.ends[place] if meets else offset


class Occupied:
    """What is taken of a block of memory at each of the times 0, 1, ... `count` - 1."""

    def __init__(self, count: int) -> None:
        self._leaves = 1 << max(count - 1, 0).bit_length()
        self._always: dict[int, Spans] = {}  # taken at all times of a node
        self._ever: dict[int, Spans] = {}  # taken at some time of a node

    def lowest(self, first: int, last: int, nbytes: int) -> int:
        """Returns the lowest offset at which bytes are free from time `first` to `last`."""
        parts, around = self._nodes(first, last)
        taken = [self._ever[node] for node in parts if node in self._ever]
        taken += [self._always[node] for node in around if node in self._always]
        offset, known = 0, -1
        while offset != known:
            known = offset
            for spans in taken:
                offset = spans.behind(offset, nbytes)
        return offset

    def take(self, first: int, last: int, begin: int, end: int) -> None:
        """Takes the bytes from `begin` to `end` from time `first` to `last`."""
        parts, around = self._nodes(first, last)
        for node in parts:
            self._always.setdefault(node, Spans()).add(begin, end)
        for node in parts | around:
            self._ever.setdefault(node, Spans()).add(begin, end)

    def _nodes(self, first: int, last: int) -> tuple[set[int], set[int]]:
        """Returns the nodes that cover a range of times, and those above them: 1 is the root, 2n
        and 2n + 1 are below n.
        """
        low, high, parts = first + self._leaves, last + self._leaves + 1, set()
        while low < high:
            if low & 1:
                parts.add(low)
                low += 1
            if high & 1:
                high -= 1
                parts.add(high)
            low, high = low >> 1, high >> 1
        around: set[int] = set()
        for part in parts:
            node = part >> 1
            while node and node not in around:
                around.add(node)
                node >>= 1
        return parts, around
