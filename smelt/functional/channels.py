"""Checks that an input has the channels that a weight needs, in terms of the user's shapes."""

from __future__ import annotations

from smelt.errors import ShapeError
from smelt.tensor import Tensor


def check_channels(what: str, x: Tensor, weight: Tensor, form: str, wanted: int, ndim: int) -> None:
    """Raises ShapeError unless x, (N, C, *S) or (C, *S), has as many channels as the weight needs.

    Args:
        what: the function, for the message.
        x: the input; the number of axes is checked elsewhere.
        weight: of the convolution.
        form: how its axes are called.
        wanted: the channels C that it takes.
        ndim: the number of spatial axes.
    """
    channels = x.ndim - ndim - 1
    if channels not in (0, 1) or x.shape[channels] == wanted:
        return
    axes = "(N, C, " if channels else "(C, "
    axes += ("L", "H, W")[ndim - 1] + ")"
    raise ShapeError(
        f"{what}: the input {x.shape}, read as {axes}, has {x.shape[channels]} channels, but "
        f"the weight {weight.shape}, {form}, takes {wanted}{_hint(x, wanted, channels)}"
    )


def _hint(x: Tensor, wanted: int, channels: int) -> str:
    if x.shape[-1] == wanted:
        order = (*range(channels), x.ndim - 1, *range(channels, x.ndim - 1))
        return f". Channels are axis {channels}, not the last: write x.permute{order}"
    if not channels and wanted == 1:
        return ". For a batch of samples with one channel, write x.unsqueeze(1)"
    return ""
