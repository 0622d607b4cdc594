"""Agreement: ranks that are about to do different things find out, and say what each would do.

Every collective, every native step with collectives, and the end of the program begins with the
same exchange: the largest h and the largest -h over all ranks, where h is a number made of what a
rank is about to do. Where all agree, the first is the negative of the second. Where not, every rank
knows it at that moment, none has begun anything else, and all tell each other what they are about
to do. So there is one kind of meeting, ranks cannot wait for each other at two, and no clock
decides: a rank that is merely slow is waited for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from smelt.errors import StateError
from smelt.mpi.group import Group, current

__all__ = ["agree", "fail", "number_of", "refuse"]

SHOWN = 700  # characters of what a rank says


def number_of(text: str) -> int:
    """Returns a positive int64 made of a text; two texts share one by chance of 2^-62 only."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 2


def agree(what: str, value: Mapping[str, Any] | None = None) -> None:
    """Returns where all ranks call it with the same; raises on all of them where not.

    Args:
        what: what a rank is about to do, in words.
        value: what else must be the same, by name: of what JSON can say.

    Raises:
        StateError: on every rank, with what each of them was about to do.
    """
    group = current()
    if isinstance(group, Group):
        lines = [f"{name}: {json.dumps(one)}" for name, one in (value or {}).items()]
        _meet(group, "\n".join([what, *lines]))


def _meet(group: Group, text: str) -> None:
    if group.failure is not None:
        raise StateError(f"this rank cannot take part any more: {group.failure}")
    number = number_of(text)
    pair, largest = np.array([number, -number], np.int64), np.empty(2, np.int64)
    group.communicator.Allreduce(pair, largest, group.mpi.MAX)
    if largest[0] != -largest[1]:
        refuse(text)


def watch(group: Group) -> None:
    """Lets every collective of a group begin with a meeting."""
    group.before = lambda text: _meet(group, text)


def refuse(text: str) -> None:
    """Raises for ranks that found out that they do not agree; `text` is what this one would do.

    Raises:
        StateError: always.
    """
    group = current()
    assert isinstance(group, Group)
    texts = [one.decode() for one in group.gather_unchecked(text.encode())]
    group.failure = "the ranks did not agree"
    lines = [f"\n  {who}: {_brief(text, texts)}" for text, who in _sides(texts).items()]
    raise StateError(f"the ranks do not agree on what comes next:{''.join(lines)}")


def _sides(texts: list[str]) -> dict[str, str]:
    """Returns who says each text: "rank 0", "ranks 1, 2, 3"."""
    ranks: dict[str, list[int]] = {}
    for rank, text in enumerate(texts):
        ranks.setdefault(text, []).append(rank)
    return {
        text: f"rank{'s' if len(found) > 1 else ''} {', '.join(map(str, found))}"
        for text, found in ranks.items()
    }


def _brief(text: str, texts: list[str]) -> str:
    """Returns the lines of a text in which it differs from the others, and the first."""
    first, *rest = text.splitlines()
    others = [set(other.splitlines()) for other in texts if other != text]
    own = [line for line in rest if not all(line in other for other in others)]
    shown = "; ".join([first, *own])
    return shown if len(shown) <= SHOWN else f"{shown[:SHOWN]} ..."


def fail(why: str) -> None:
    """Notes that this rank has failed within a collective step: others may wait in the middle of
    it, so nothing but an end is left.
    """
    group = current()
    if isinstance(group, Group):
        group.failure = why
