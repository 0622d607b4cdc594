"""Image transforms with torchvision's names: flip, crop, resize, normalize, a batch at a time.

    augment = Compose([RandomCrop(32, padding=4), RandomHorizontalFlip()])

    @smelt.compile
    def step(x, y):
        loss = F.cross_entropy(model(augment(x)), y)
        ...

Every transform takes images (n, channels, height, width), or one (channels, height, width), as
Tensors, eagerly or within a compiled step. Random numbers are drawn separately for each image of a
batch.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from smelt import dtypes
from smelt.data import image_values
from smelt.data.image_sampling import check_interpolation, cropped, resized, rotated
from smelt.data.image_values import GRAY, changed
from smelt.errors import ArgumentError, DTypeError, ShapeError
from smelt.functional.padding import pad
from smelt.pytorch_names import install as _install
from smelt.random import Generator, rand, uniform
from smelt.tensor import Tensor, as_tensor
from smelt.tensor.checked import checked_methods
from smelt.tensor.elementary import where

_install(__name__)

__all__ = [
    "CenterCrop", "ColorJitter", "Compose", "ImageTransform", "Normalize", "RandomCrop",
    "RandomHorizontalFlip", "RandomResizedCrop", "RandomRotation", "RandomVerticalFlip", "Resize",
    "ToTensor",
]  # fmt: skip

Size = int | Sequence[int]


@checked_methods
class ImageTransform(ABC):
    """The base of image transforms.

    Call it with images and, for random transforms, optionally a generator; it returns new images. A
    subclass defines `change`.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        """Lets the classes of Smelt say what is wrong with the arguments that they get."""
        super().__init_subclass__(**options)
        if cls.__module__.startswith("smelt."):
            checked_methods(cls)

    def __call__(self, x: Tensor, generator: Generator | None = None) -> Tensor:
        """Returns the images changed.

        Args:
            x: (n, channels, height, width), or (channels, height, width) for one.
            generator: where random numbers come from; the default generator when None.

        Returns:
            Images with as many axes; integers and bools become float32.

        Raises:
            ShapeError: `x` has another number of axes, or is too small.
            DTypeError: `x` is no Tensor.
        """
        if not isinstance(x, Tensor):
            raise DTypeError(
                f"{type(self).__name__}: x must be a Tensor, got a {type(x).__name__}; ToTensor() "
                "converts an array or an image of Pillow"
            )
        if x.ndim not in (3, 4):
            raise ShapeError(
                f"{type(self).__name__}: x {x.shape} must be (n, channels, height, width) or "
                "(channels, height, width)"
            )
        images = x if x.dtype.is_float else x.to(dtypes.float32)
        changed = self.change(images if x.ndim == 4 else images[None], generator)
        return changed if x.ndim == 4 else changed[0]

    @abstractmethod
    def change(self, x: Tensor, generator: Generator | None) -> Tensor:
        """Returns the changed images of floats (n, channels, height, width)."""


@checked_methods
class Compose:
    """One transform after the other.

    Args:
        transforms: each an `ImageTransform`, a `ToTensor`, or a function of images.
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms: list[Callable[[Any], Any]] = list(transforms)

    def __call__(self, x: Any, generator: Generator | None = None) -> Any:
        """Returns the images after all transforms; random ones draw from the generator."""
        for transform in self.transforms:
            random = isinstance(transform, (ImageTransform, Compose))
            x = transform(x, generator) if random else transform(x)  # type: ignore[call-arg]
        return x


@checked_methods
class ToTensor:
    """Converts an image to float32 (channels, height, width), uint8 values to 0 to 1.

    Takes an array (height, width, channels) or (height, width), or a Pillow image. A Tensor is
    returned unchanged, such as those of `read_image` and `ImageFolder`.

    Example:
        >>> ToTensor()(np.full((2, 3, 3), 255, np.uint8)).shape
        (3, 2, 3)
    """

    def __call__(self, picture: Any) -> Tensor:
        """Returns the picture as a Tensor.

        Raises:
            ShapeError: it has another number of axes.
            DTypeError: it holds no numbers.
        """
        if isinstance(picture, Tensor):
            return picture
        array = np.asarray(picture)
        if array.dtype.kind not in "biuf":
            raise DTypeError(f"ToTensor: a {type(picture).__name__} holds no numbers")
        if array.ndim not in (2, 3):
            raise ShapeError(f"ToTensor: {array.shape} must be (height, width, channels)")
        planes = array[None] if array.ndim == 2 else np.moveaxis(array, 2, 0)
        values = planes.astype(np.float32)
        return as_tensor(values / np.float32(255) if array.dtype == np.uint8 else values)


class Normalize(ImageTransform):
    """Normalizes each channel: (x - mean) / std.

    Args:
        mean: one number per channel.
        std: one number per channel, not 0.

    Raises:
        ArgumentError: a `std` is 0.
    """

    mean: np.ndarray
    std: np.ndarray

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean, self.std = (np.atleast_1d(np.asarray(v, np.float64)) for v in (mean, std))
        if not self.std.all():
            raise ArgumentError(f"Normalize: std={list(self.std)} must not be 0")

    def change(self, x: Tensor, generator: Generator | None) -> Tensor:
        """Returns the images normalized."""
        channels = {1, x.shape[1]}
        if not {self.mean.size, self.std.size} <= channels:
            raise ShapeError(
                f"Normalize: {self.mean.size} means and {self.std.size} deviations for images "
                f"{x.shape} of {x.shape[1]} channels"
                + (", which stand before the height" if x.shape[3] == self.mean.size else "")
            )
        mean, std = (as_tensor(v).to(x.dtype).reshape(1, -1, 1, 1) for v in (self.mean, self.std))
        return changed(x, lambda x: (x - mean) / std, image_values.normalized, mean, std)


class Resize(ImageTransform):
    """Resizes images.

    Args:
        size: (height, width), or one number for the shorter side, the other one in proportion.
        interpolation: "bilinear" or "nearest".
        antialias: whether the pixels of a smaller image are means over the area they cover, as in
            Pillow.

    Raises:
        ArgumentError: a size is below 1, or the interpolation is unknown.
    """

    def __init__(self, size: Size, interpolation: str = "bilinear", antialias: bool = True) -> None:
        self.size: int | tuple[int, int] = size if isinstance(size, int) else _pair("Resize", size)
        if isinstance(size, int):
            _pair("Resize", size)
        check_interpolation("Resize", interpolation)
        self.interpolation = interpolation
        self.antialias = antialias

    def change(self, x: Tensor, generator: Generator | None) -> Tensor:
        """Returns the images resized."""
        height, width = x.shape[-2:]
        if isinstance(self.size, int):
            short = min(height, width)
            size = (height * self.size // short, width * self.size // short)
        else:
            size = self.size
        return resized(x, size, None, self.interpolation, self.antialias)


class CenterCrop(ImageTransform):
    """Crops the center; a smaller image is padded with zeros.

    Args:
        size: (height, width), or one number for both.

    Raises:
        ArgumentError: a size is below 1.
    """

    def __init__(self, size: Size) -> None:
        self.size: tuple[int, int] = _pair("CenterCrop", size)

    def change(self, x: Tensor, generator: Generator | None) -> Tensor:
        """Returns the middle of the images."""
        for axis, wanted in zip((2, 3), self.size, strict=True):
            lacking = wanted - x.shape[axis]
            if lacking > 0:
                around = (lacking // 2, lacking - lacking // 2)
                x = pad(x, around if axis == 3 else (0, 0, *around))
            start = round((x.shape[axis] - wanted) / 2)
            x = x.narrow(axis, start, wanted)
        return x


class RandomCrop(ImageTransform):
    """Crops a part at a random position.

    Args:
        size: (height, width), or one number for both.
        padding: zeros around the images first: one number for all sides, (left and right, top and
            bottom), or (left, top, right, bottom).
        padding_mode: "constant", or "reflect", "replicate" and "circular", as in `F.pad`.
        fill: the padding value instead of zero.

    Raises:
        ArgumentError: a size is below 1, or `padding` has another number of values.
    """

    def __init__(
        self,
        size: Size,
        padding: Size | None = None,
        padding_mode: str = "constant",
        fill: float = 0.0,
    ) -> None:
        self.size: tuple[int, int] = _pair("RandomCrop", size)
        self.padding: tuple[int, ...] = (0, 0, 0, 0) if padding is None else _sides(padding)
        self.padding_mode: str = "replicate" if padding_mode == "edge" else padding_mode
        self.fill = fill

    def change(self, x: Tensor, generator: Generator | None) -> Tensor:
        """Returns a part of each image."""
        left, top, right, bottom = self.padding
        constant = self.padding_mode == "constant"
        if any(self.padding) and not constant:
            x = pad(x, (left, right, top, bottom), mode=self.padding_mode)
        around = (top + bottom, left + right) if constant else (0, 0)
        free = [
            extent + more - wanted + 1
            for extent, more, wanted in zip(x.shape[2:], around, self.size, strict=True)
        ]
        if min(free) < 1:
            raise ShapeError(
                f"RandomCrop: size={self.size} is larger than the images {x.shape[2:]}; give a "
                "padding, or Resize them first"
            )
        row, column = (_below(end, x.shape[0], generator) for end in free)
        if constant:  # whatever lies outside is read as the fill, without padding the images
            row, column = row - top, column - left
        return cropped(x, row, column, *self.size, self.fill)


class RandomHorizontalFlip(ImageTransform):
    """Flips images horizontally with a given probability.

    Args:
        p: the probability.

    Raises:
        ArgumentError: `p` is outside [0, 1].
    """

    axis = 3

    def __init__(self, p: float = 0.5) -> None:
        if not 0 <= p <= 1:
            raise ArgumentError(f"{type(self).__name__}: p={p} must lie in [0, 1]")
        self.p = p

    def change(self, x: Tensor, generator: Generator | None) -> Tensor:
        """Returns the images, some of them flipped."""
        chosen = rand(x.shape[0], 1, 1, 1, generator=generator) < self.p

        def definition(x: Tensor) -> Tensor:
            return where(chosen, x.flip(self.axis), x)

        return changed(x, definition, image_values.flipped, chosen, self.axis)


class RandomVerticalFlip(RandomHorizontalFlip):
    """Flips images vertically with a given probability.

    Args:
        p: the probability.

    Raises:
        ArgumentError: `p` is outside [0, 1].
    """

    axis = 2


class RandomRotation(ImageTransform):
    """Rotates images around their centers by random angles.

    Args:
        degrees: (minimum, maximum), counterclockwise; one number d stands for (-d, d).
        interpolation: "nearest" or "bilinear".
        fill: the value outside the rotated image.

    Raises:
        ArgumentError: the range is empty, or there is no such interpolation.
    """

    def __init__(
        self,
        degrees: float | Sequence[float],
        interpolation: str = "nearest",
        fill: float = 0.0,
    ) -> None:
        self.degrees: tuple[float, float] = _range("RandomRotation", "degrees", degrees)
        check_interpolation("RandomRotation", interpolation)
        self.interpolation = interpolation
        self.fill = fill

    def change(self, x: Tensor, generator: Generator | None) -> Tensor:
        """Returns the images rotated."""
        angle = uniform(*self.degrees, (x.shape[0],), generator=generator)
        return rotated(x, angle, self.interpolation, self.fill)


class RandomResizedCrop(ImageTransform):
    """Crops a part of random area and aspect ratio, and resizes it.

    A part that would not fit is made as large as the image allows. (torchvision tries ten times,
    then takes the center.)

    Args:
        size: (height, width) of the result, or one number for both.
        scale: (minimum, maximum) of the part's area, as a fraction of the image's area.
        ratio: (minimum, maximum) of the part's width divided by its height.
        interpolation: "bilinear" or "nearest".
        antialias: whether the pixels of a smaller result are means over the area they cover.

    Raises:
        ArgumentError: a size is below 1, a range is empty or not positive, or there is no such
            interpolation.
    """

    def __init__(
        self,
        size: Size,
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
        interpolation: str = "bilinear",
        antialias: bool = True,
    ) -> None:
        self.size: tuple[int, int] = _pair("RandomResizedCrop", size)
        self.scale: tuple[float, float] = _range("RandomResizedCrop", "scale", scale, positive=True)
        self.ratio: tuple[float, float] = _range("RandomResizedCrop", "ratio", ratio, positive=True)
        check_interpolation("RandomResizedCrop", interpolation)
        self.interpolation = interpolation
        self.antialias = antialias

    def change(self, x: Tensor, generator: Generator | None) -> Tensor:
        """Returns a part of each image, resized."""
        count, _, height, width = x.shape
        area = uniform(*self.scale, (count,), generator=generator) * (height * width)
        least, most = (math.log(value) for value in self.ratio)
        ratio = uniform(least, most, (count,), generator=generator).exp()
        tall = (area / ratio).sqrt().round().clamp(1, height)
        wide = (area * ratio).sqrt().round().clamp(1, width)
        top = (rand(count, generator=generator) * (height - tall + 1)).floor()
        left = (rand(count, generator=generator) * (width - wide + 1)).floor()
        box = (top, left, tall, wide)
        return resized(x, self.size, box, self.interpolation, self.antialias)


class ColorJitter(ImageTransform):
    """Changes brightness, contrast and saturation at random, in this order.

        x * b,    m + (x - m) * c,    g + (x - g) * s,    each cut off at 0 and 1

    where m is the mean of an image's gray values and g are the gray values. (torchvision also draws
    the order, and has a hue.)

    Args:
        brightness: (minimum, maximum) of b; one number d means (max(0, 1 - d), 1 + d).
        contrast: the same for c.
        saturation: the same for s, for images with three channels.

    Raises:
        ArgumentError: a range is empty or negative.
    """

    def __init__(
        self,
        brightness: float | Sequence[float] = 0.0,
        contrast: float | Sequence[float] = 0.0,
        saturation: float | Sequence[float] = 0.0,
    ) -> None:
        self.brightness: tuple[float, float] = _factors("brightness", brightness)
        self.contrast: tuple[float, float] = _factors("contrast", contrast)
        self.saturation: tuple[float, float] = _factors("saturation", saturation)

    def change(self, x: Tensor, generator: Generator | None) -> Tensor:
        """Returns the images in other colors."""
        limits = (self.brightness, self.contrast, self.saturation)
        if limits[1:] != ((1, 1), (1, 1)) and x.shape[1] not in (1, 3):
            raise ShapeError(f"ColorJitter: images {x.shape} must have 1 or 3 channels")
        factors = [None if pair == (1, 1) else _factor(x, pair, generator) for pair in limits]
        return changed(x, lambda x: _jittered(x, *factors), image_values.jittered, *factors)


def _jittered(
    x: Tensor, brightness: Tensor | None, contrast: Tensor | None, saturation: Tensor | None
) -> Tensor:
    if brightness is not None:
        x = _blended(x, 0.0, brightness)
    if contrast is not None:
        x = _blended(x, _gray(x).mean((1, 2, 3), keepdim=True), contrast)
    return x if saturation is None else _blended(x, _gray(x), saturation)


def _blended(x: Tensor, other: Any, factor: Tensor) -> Tensor:
    return (other + (x - other) * factor).clamp(0.0, 1.0)


def _factor(x: Tensor, limits: tuple[float, float], generator: Generator | None) -> Tensor:
    return uniform(*limits, (x.shape[0], 1, 1, 1), generator=generator).to(x.dtype)


def _gray(x: Tensor) -> Tensor:
    """Returns the gray values (n, 1, height, width) of images in color; gray ones as they are."""
    if x.shape[1] == 1:
        return x
    return (x * as_tensor(np.array(GRAY)).to(x.dtype).reshape(1, 3, 1, 1)).sum(1, keepdim=True)


def _below(end: int, count: int, generator: Generator | None) -> Tensor:
    """Returns `count` whole numbers in 0 .. end - 1, also where `end` differs from step to step."""
    return (rand(count, generator=generator) * end).to(dtypes.int64).floor()


def _pair(called: str, size: Size) -> tuple[int, int]:
    pair = (size, size) if not isinstance(size, Sequence) else tuple(size)
    if len(pair) != 2 or not all(isinstance(n, int) and n >= 1 for n in pair):
        raise ArgumentError(f"{called}: size={size}; give (height, width), each at least 1")
    return pair[0], pair[1]


def _sides(padding: Size) -> tuple[int, ...]:
    sides = (padding,) * 4 if isinstance(padding, int) else tuple(padding)
    sides = sides * 2 if len(sides) == 2 else sides
    if len(sides) != 4 or min(sides) < 0:
        raise ArgumentError(
            f"RandomCrop: padding={padding}; give one number, two or four, none negative"
        )
    return sides


def _range(
    called: str, name: str, given: float | Sequence[float], positive: bool = False
) -> tuple[float, float]:
    pair = (-given, given) if isinstance(given, (int, float)) else tuple(given)
    if len(pair) != 2 or pair[0] > pair[1] or (positive and pair[0] <= 0):
        limit = " above 0" if positive else ""
        raise ArgumentError(f"{called}: {name}={given}; give (smallest, largest){limit}")
    return float(pair[0]), float(pair[1])


def _factors(name: str, given: float | Sequence[float]) -> tuple[float, float]:
    if isinstance(given, (int, float)):
        given = (max(0.0, 1 - given), 1 + given)
    pair = _range("ColorJitter", name, given)
    if pair[0] < 0:
        raise ArgumentError(f"ColorJitter: {name}={given} must not be negative")
    return pair
