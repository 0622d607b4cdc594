"""Random functions that look at windows: convolutions, pooling, and stencils out of slices.

What they have in common is that an element of the result reads neighbors, some of which may lie in
the padding: the compiler masks such reads, cuts loops where the masks change, and unrolls what is
left, which may be of any width. So extents lie about the multiples of a vector's lanes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import smelt
import smelt.nn.functional as F
from smelt import Tensor
from smelt.dtypes import DType

NARROW = (1, 2, 3, 4, 5, 6, 7, 8, 9, 11)
WIDE = (15, 16, 17, 18, 19, 23, 31, 32, 33, 34, 35, 40, 47, 48, 49, 63, 64, 65, 66, 70)
ELEMENTS = 2500  # of an image, at most
Function = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Windows:
    """One random function of x (images) and w (weights), with what it was made of."""

    kind: str
    images: int
    channels: int
    outputs: int
    groups: int
    extents: tuple[int, ...]
    window: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    ending: str
    way: str
    seed: int

    def arguments(self, dtype: DType) -> list[Tensor]:
        """Returns x and w."""
        generator = np.random.default_rng(self.seed)
        shapes = ((self.images, self.channels, *self.extents), self._weights())
        return [smelt.tensor(generator.standard_normal(shape), dtype=dtype) for shape in shapes]

    def _weights(self) -> tuple[int, ...]:
        if self.kind == "convolution":
            return (self.outputs, self.channels // self.groups, *self.window)
        if self.kind == "transposed":
            return (self.channels, self.outputs // self.groups, *self.window)
        return (8,)

    def __call__(self, x: Tensor, w: Tensor) -> list[Tensor]:
        """Returns the values alone, or a loss with its gradients too."""
        if self.way == "values":
            return [ENDINGS[self.ending](KINDS[self.kind](self, x, w))]
        along = smelt.linspace(0.5, 1.5, 64, dtype=x.dtype)

        def loss(x: Tensor, w: Tensor) -> Tensor:
            y = ENDINGS[self.ending](KINDS[self.kind](self, x, w)).flatten()
            return (y * y * along[smelt.arange(y.shape[0]) % 64]).sum()

        if self.way == "gradients":
            value, gradients = smelt.value_and_grad(loss, argnums=(0, 1))(x, w)
            return [value, *gradients]
        slope = smelt.grad(lambda x, w: sum((g * g).sum() for g in smelt.grad(loss, (0, 1))(x, w)))
        return [slope(x, w)]


def draw(seed: int) -> Windows:
    """Returns the function of a seed; a window that does not fit is padded more or made smaller."""
    pick = np.random.default_rng(seed)
    axes = int(pick.integers(1, 3))
    kind = str(pick.choice(list(KINDS)))
    window = tuple(int(pick.integers(1, 6)) for _ in range(axes))
    extents = tuple(int(pick.choice(WIDE if pick.random() < 0.7 else NARROW)) for _ in range(axes))
    if np.prod(extents) > ELEMENTS:
        extents = (int(pick.choice(NARROW)), extents[-1])
    channels = int(pick.choice([1, 1, 1, 2, 3, 4, 6, 8]))
    groups = channels if pick.random() < 0.2 else 1
    made = Windows(
        kind=kind,
        images=int(pick.choice([1, 1, 2, 3])),
        channels=channels,
        outputs=groups * int(pick.choice([1, 1, 2, 3, 5, 8, 17])),
        groups=groups,
        extents=extents,
        window=window,
        stride=tuple(int(pick.integers(1, 4)) for _ in range(axes)),
        padding=tuple(int(pick.integers(0, size // 2 + 1)) for size in window),
        dilation=tuple(int(pick.choice([1, 1, 1, 2, 3])) for _ in range(axes)),
        ending=str(pick.choice(list(ENDINGS))),
        way=str(pick.choice(["values", "values", "gradients", "gradients", "second order"])),
        seed=seed,
    )
    return _fitting(made)


def _fitting(made: Windows) -> Windows:
    """Makes the image as large as the window at least."""
    dilation = made.dilation if made.kind == "convolution" else (1,) * len(made.window)
    sides = zip(made.extents, made.window, made.padding, dilation, strict=True)
    least = 2 if made.kind == "transposed" else 1  # of one element all may be cut off
    extents = tuple(max(n, gap * (size - 1) + 1 - 2 * pad, least) for n, size, pad, gap in sides)
    return replace(made, extents=extents, dilation=dilation)


# --- what looks at windows ------------------------------------------------------------------------


def _named(stem: str, made: Windows) -> Any:
    return getattr(F, f"{stem}{len(made.window)}d")


def _convolution(made: Windows, x: Tensor, w: Tensor) -> Tensor:
    ways = (made.stride, made.padding, made.dilation, made.groups)
    return _named("conv", made)(x, w, None, *ways)


def _transposed(made: Windows, x: Tensor, w: Tensor) -> Tensor:
    ways = {"stride": made.stride, "padding": made.padding, "groups": made.groups}
    return _named("conv_transpose", made)(x, w, **ways)


def _pooled(*stems: str) -> Callable[[Windows, Tensor, Tensor], Tensor]:
    def total(made: Windows, x: Tensor, w: Tensor) -> Tensor:
        ways = (made.window, made.stride, made.padding)
        if len(made.window) == 1:
            ways = tuple(way[0] for way in ways)
        parts = [_named(stem, made)(x, *ways) for stem in stems]
        return sum(part * w[number] for number, part in enumerate(parts))

    return total


def _plain_maximum(made: Windows, x: Tensor, w: Tensor) -> Tensor:
    """Without anything behind it, as a user's function may be."""
    return _pooled("max_pool")(made, x, w.detach() * 0 + 1)


def _slices(made: Windows, x: Tensor, w: Tensor) -> Tensor:
    """A sum of shifted slices of x with zeros around it."""
    axes = len(made.extents)
    padded = F.pad(x, (1, 1) * axes)
    total = x * w[0]
    for number, shift in enumerate((0, 2, 1)):
        ends = [slice(shift if axis % 2 else 2 - shift, None) for axis in range(axes)]
        shifted = padded[(slice(None), slice(None), *ends)]
        kept = tuple(slice(0, extent) for extent in shifted.shape[2:])
        total = F.pad(shifted * w[number + 1], _missing(shifted, x)) + total[:, :, *kept].mean()
    return total


def _missing(part: Tensor, x: Tensor) -> tuple[int, ...]:
    """Returns the padding, last axis first, that makes a part as large as x."""
    behind = [reference - have for reference, have in zip(x.shape[2:], part.shape[2:], strict=True)]
    return tuple(side for extent in reversed(behind) for side in (0, extent))


def _beside(made: Windows, x: Tensor, w: Tensor) -> Tensor:
    """Parts side by side along the last axis, and the sum of the neighbors in it."""
    row = smelt.cat([x * w[0], x[..., : (x.shape[-1] + 1) // 2] * w[1], x.flip(-1)], -1)
    return row[..., 1:] * w[2] + row[..., :-1] if row.shape[-1] > 1 else row


KINDS: dict[str, Callable[[Windows, Tensor, Tensor], Tensor]] = {
    "convolution": _convolution,
    "transposed": _transposed,
    "maximum": _pooled("max_pool"),
    "plain maximum": _plain_maximum,
    "mean": _pooled("avg_pool"),
    "maximum and mean": _pooled("max_pool", "avg_pool"),
    "slices": _slices,
    "beside": _beside,
}
ENDINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "nothing": lambda y: y,
    "tanh": smelt.tanh,
    "softmax over channels": lambda y: smelt.softmax(y, 1),
    "softmax over lines": lambda y: smelt.softmax(y, -1),
    "centered": lambda y: (y - y.mean()) * y,
    "normalized": lambda y: F.layer_norm(y, (y.shape[-1],)),
    "pooled again": lambda y: F.max_pool1d(y.flatten(0, -2).unsqueeze(1), 3, 1, 1),
}
