"""JSON that says each thing once."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

__all__ = ["parsed"]


def parsed(text: str | bytes) -> Any:
    """Returns the value that a text in JSON stands for.

    Readers of JSON differ in which of two values they take for a name that is there twice, so that
    one file would be different things to different programs.

    Raises:
        ValueError: the text is no JSON, or names something twice within one map.
    """
    return json.loads(text, object_pairs_hook=_map)


def _map(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {twice!r} occurs twice")
    return result
