"""The header NAME.h beside exported code: it belongs to the C source, or to the object file."""

from __future__ import annotations

from pathlib import Path

from smelt.errors import FileError

__all__ = ["OF_OBJECTS", "check_header"]

OF_OBJECTS = "object code for "  # begins what the first line of such a header says
_SAYS = "exported by Smelt; "  # what stands before that


def check_header(header: Path, text: str) -> None:
    """Raises FileError if a header is there that belongs to code of the other kind.

    Both kinds have a header NAME.h, which says how large the state is. The state of C source and
    that of an object file may differ, so code with the header of the other kind would write behind
    its state.

    Args:
        header: the path.
        text: of the new header.
    """
    if not header.is_file():
        return
    with header.open(encoding="utf-8", errors="replace") as file:
        before = _kind(file.readline())
    if before not in (None, _kind(text)):
        raise FileError(
            f"{header}: belongs to {before}, whose state may have another size; choose another "
            "name or another folder, or delete it with its code first"
        )


def _kind(text: str) -> str | None:
    """Returns what a header belongs to; None if it was not exported."""
    _, mark, rest = text.partition("\n")[0].partition(_SAYS)
    if not mark:
        return None
    return "an object file" if rest.startswith(OF_OBJECTS) else "C source"
