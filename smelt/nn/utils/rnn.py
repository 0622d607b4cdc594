"""Sequences of different lengths in one tensor."""

from __future__ import annotations

from collections.abc import Sequence

from smelt.errors import ArgumentError, ShapeError
from smelt.pytorch_names import install as _install
from smelt.tensor import Tensor
from smelt.tensor.apply import full
from smelt.tensor.checked import checked_names as _checked_names
from smelt.tensor.shaping import cat, stack

__all__ = ["pad_sequence"]


def pad_sequence(
    sequences: Sequence[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Returns sequences padded to the longest one, stacked.

    Args:
        sequences: shapes (L_i, *), equal after the first axis.
        batch_first: whether the result is (B, L, *) instead of (L, B, *).
        padding_value: the value of the padding.
        padding_side: "right" or "left" of the sequence.

    Raises:
        ArgumentError: no sequences, or an unknown side.
        ShapeError: shapes that differ after the first axis.
    """
    if not sequences or padding_side not in ("left", "right"):
        raise ArgumentError(
            "pad_sequence: needs at least one sequence, and padding_side 'left' or 'right'; got "
            f"{len(sequences)} and {padding_side!r}"
        )
    first = sequences[0]
    if any(not x.ndim or x.shape[1:] != first.shape[1:] for x in sequences):
        shapes = ", ".join(str(x.shape) for x in sequences)
        raise ShapeError(f"pad_sequence: shapes {shapes} may only differ in the first axis")
    longest = max(x.shape[0] for x in sequences)
    padded = []
    for x in sequences:
        filling = full((longest - x.shape[0], *x.shape[1:]), padding_value, x.dtype)
        padded.append(cat([x, filling] if padding_side == "right" else [filling, x]))
    return stack(padded, 0 if batch_first else 1)


_checked_names(globals(), __all__, __name__)
_install(__name__)
