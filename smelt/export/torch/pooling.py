"""Pooling, and images of another size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from smelt.export.torch.program import Rule
from smelt.functional import adaptive_pooling, interpolation, pooling
from smelt.tensor import Tensor

Sizes = Sequence[int]


def _sizes(given: Any) -> Any:
    """Returns sizes as Smelt's functions take them: none are those of the window."""
    return None if given is None or given == [] else tuple(given)


def _max_pool(function: Callable[..., Any], return_indices: bool) -> Rule:
    def rule(
        x: Tensor,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = (0,),
        dilation: Sizes = (1,),
        ceil_mode: bool = False,
    ) -> Any:
        return function(
            x, tuple(kernel_size), _sizes(stride), tuple(padding), tuple(dilation), ceil_mode,
            return_indices,
        )  # fmt: skip

    return rule


def _avg_pool1d(
    x: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = (0,),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    return pooling.avg_pool1d(
        x, tuple(kernel_size), _sizes(stride), tuple(padding), ceil_mode, count_include_pad
    )


def _avg_pool2d(
    x: Tensor,
    kernel_size: Sizes,
    stride: Sizes | None = None,
    padding: Sizes = (0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    return pooling.avg_pool2d(
        x, tuple(kernel_size), _sizes(stride), tuple(padding), ceil_mode, count_include_pad,
        divisor_override,
    )  # fmt: skip


def _adaptive_avg(function: Callable[..., Tensor]) -> Rule:
    def rule(x: Tensor, output_size: Sizes) -> Tensor:
        return function(x, tuple(output_size))

    return rule


def _adaptive_max(function: Callable[..., Any]) -> Rule:
    def rule(x: Tensor, output_size: Sizes) -> Any:
        return tuple(function(x, tuple(output_size), True))

    return rule


def _nearest(mode: str) -> Rule:
    def rule(x: Tensor, output_size: Sizes | None, *scales: Any, **options: Any) -> Tensor:
        return _resized(x, output_size, (*scales, *options.values()), mode, None)

    return rule


def _linear(mode: str) -> Rule:
    def rule(
        x: Tensor, output_size: Sizes | None, align_corners: bool, *scales: Any, **options: Any
    ) -> Tensor:
        return _resized(x, output_size, (*scales, *options.values()), mode, align_corners)

    return rule


def _resized(
    x: Tensor, size: Sizes | None, scales: tuple[Any, ...], mode: str, align_corners: bool | None
) -> Tensor:
    """Returns an image of a size, or larger by factors: one list of them, or one for each axis."""
    if len(scales) == 1 and isinstance(scales[0], (list, tuple)):
        scales = tuple(scales[0])
    if scales and None not in scales:
        return interpolation.interpolate(
            x, None, tuple(scales), mode=mode, align_corners=align_corners
        )
    assert size is not None
    return interpolation.interpolate(x, tuple(size), mode=mode, align_corners=align_corners)


RULES: Final[dict[str, Rule]] = {
    "max_pool1d": _max_pool(pooling.max_pool1d, False),
    "max_pool2d": _max_pool(pooling.max_pool2d, False),
    "max_pool1d_with_indices": _max_pool(pooling.max_pool1d, True),
    "max_pool2d_with_indices": _max_pool(pooling.max_pool2d, True),
    "avg_pool1d": _avg_pool1d,
    "avg_pool2d": _avg_pool2d,
    "adaptive_avg_pool1d": _adaptive_avg(adaptive_pooling.adaptive_avg_pool1d),
    "adaptive_avg_pool2d": _adaptive_avg(adaptive_pooling.adaptive_avg_pool2d),
    "_adaptive_avg_pool2d": _adaptive_avg(adaptive_pooling.adaptive_avg_pool2d),
    "adaptive_max_pool1d": _adaptive_max(adaptive_pooling.adaptive_max_pool1d),
    "adaptive_max_pool2d": _adaptive_max(adaptive_pooling.adaptive_max_pool2d),
    "upsample_nearest1d": _nearest("nearest"),
    "upsample_nearest2d": _nearest("nearest"),
    "upsample_nearest3d": _nearest("nearest"),
    "_upsample_nearest_exact1d": _nearest("nearest-exact"),
    "_upsample_nearest_exact2d": _nearest("nearest-exact"),
    "_upsample_nearest_exact3d": _nearest("nearest-exact"),
    "upsample_linear1d": _linear("linear"),
    "upsample_bilinear2d": _linear("bilinear"),
    "upsample_trilinear3d": _linear("trilinear"),
}
