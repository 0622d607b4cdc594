"""The sizes of an exported step, as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

__all__ = ["Sized", "sizes_text"]


class Sized(Protocol):
    """An exported step that knows its sizes in bytes, and its operations."""

    @property
    def name(self) -> str:
        """The name of its functions."""

    @property
    def flash(self) -> Mapping[str, int]:
        """Bytes of constants by part, perhaps with the code."""

    @property
    def ram(self) -> Mapping[str, int]:
        """Bytes of the state by part."""

    @property
    def state_bytes(self) -> int:
        """The size of the state."""

    @property
    def stack_bytes(self) -> int:
        """The size of the arrays on the stack of the function that has most."""

    @property
    def flops(self) -> int:
        """Floating-point operations of one step."""


def sizes_text(export: Sized, title: str, flash: str, *more: str) -> str:
    """Returns a report: a title, the bytes of flash and RAM by part, and further lines."""
    lines = [f"{export.name}: {title}"]
    for name, parts in ((flash, export.flash), ("RAM", export.ram)):
        lines.append(f"{name}: {sum(parts.values()):,} bytes")
        lines += [f"  {part:<16}{nbytes:>14,}" for part, nbytes in parts.items()]
    lines += [
        f"{export.name}_state: {export.state_bytes:,} bytes",
        f"largest arrays of one function on the stack: {export.stack_bytes:,} bytes",
        f"floating-point operations a step: {export.flops:,}",
        *more,
    ]
    return "\n".join(lines) + "\n"
