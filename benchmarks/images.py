"""Pictures changed one by one and in batches, beside Pillow and NumPy: milliseconds a picture.

    python benchmarks/images.py

Each change is that of a picture of 500 x 375: by Smelt, eagerly, alone and in a batch of 16; by
Pillow, of 8 bits and of the float32 planes that Smelt has; and what NumPy has in Pillow's place.
Seconds of the processor, the least of many rounds, since other programs run beside this one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance

import smelt
from smelt.data import transforms

WIDTH, HEIGHT, BATCH = 500, 375, 16
Change = Callable[[Any], object]
Planes = list[Image.Image]


def on_planes(change: Callable[[Image.Image], Image.Image]) -> Change:
    return lambda planes: [change(plane) for plane in planes]


def resize(image: Image.Image) -> Image.Image:
    return image.resize((224, 224), Image.Resampling.BILINEAR)


def crop(image: Image.Image) -> Image.Image:
    return image.crop((100, 50, 324, 274))


def flip(image: Image.Image) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def rotate(image: Image.Image) -> Image.Image:
    return image.rotate(20)


def rotate_smoothly(image: Image.Image) -> Image.Image:
    return image.rotate(20, Image.Resampling.BILINEAR)


def resized_crop(image: Image.Image) -> Image.Image:
    return resize(image.crop((100, 50, 400, 350)))


def jitter(image: Image.Image) -> Image.Image:
    for kind in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        image = kind(image).enhance(1.2)
    return image


def normalize(pixels: np.ndarray) -> np.ndarray:
    return (pixels - np.float32(0.45)) / np.float32(0.25)


def all_of(image: Image.Image) -> np.ndarray:
    pixels = np.asarray(flip(rotate(resize(image).crop((12, 12, 212, 212)))), np.float32) / 255
    return normalize(np.ascontiguousarray(pixels.transpose(2, 0, 1)))


statistics = ([0.45] * 3, [0.25] * 3)
# name -> by Smelt, by Pillow of 8 bits, by Pillow of float planes, by NumPy
CHANGES: dict[str, tuple[Change, Change | None, Change | None, Change | None]] = {
    "Resize": (transforms.Resize((224, 224)), resize, on_planes(resize), None),
    "RandomCrop": (transforms.RandomCrop(224), crop, on_planes(crop), None),
    "RandomResizedCrop": (
        transforms.RandomResizedCrop(224), resized_crop, on_planes(resized_crop), None
    ),
    "RandomHorizontalFlip": (
        transforms.RandomHorizontalFlip(1), flip, on_planes(flip),
        lambda pixels: np.ascontiguousarray(pixels[..., ::-1]),
    ),
    "RandomRotation": (transforms.RandomRotation((20, 20)), rotate, on_planes(rotate), None),
    "RandomRotation, bilinear": (
        transforms.RandomRotation((20, 20), "bilinear"),
        rotate_smoothly, on_planes(rotate_smoothly), None,
    ),
    "ColorJitter": (transforms.ColorJitter((1.2, 1.2), (1.2, 1.2), (1.2, 1.2)), jitter, None, None),
    "Normalize": (transforms.Normalize(*statistics), None, None, normalize),
    "Resize, crop, rotate, flip, normalize": (
        transforms.Compose([
            transforms.Resize((224, 224)), transforms.RandomCrop(200),
            transforms.RandomRotation((20, 20)), transforms.RandomHorizontalFlip(1),
            transforms.Normalize(*statistics),
        ]),
        all_of, None, None,
    ),
}  # fmt: skip


def milliseconds(change: Change, given: Any, rounds: int) -> float:
    """Returns how long a change takes at best."""
    times = []
    for _ in range(rounds):
        before = time.process_time()
        change(given)
        times.append(time.process_time() - before)
    return min(times) * 1e3


def main() -> None:
    chance = np.random.default_rng(0)
    picture = Image.fromarray(chance.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8))
    pixels = transforms.ToTensor()(picture)
    array = pixels.numpy()
    planes: Planes = [Image.fromarray(plane) for plane in array]
    batch = smelt.stack([pixels] * BATCH)
    print(f"{'':40}{'Smelt':>8}{f'of {BATCH}':>8}{'8 bits':>8}{'float':>8}{'NumPy':>8}")
    for name, (ours, of_bytes, of_planes, by_numpy) in CHANGES.items():
        figures = [milliseconds(ours, pixels, 30), milliseconds(ours, batch, 8) / BATCH]
        peers = ((of_bytes, picture), (of_planes, planes), (by_numpy, array))
        figures += [milliseconds(c, given, 30) if c else np.nan for c, given in peers]
        shown = (f"{figure:8.2f}" if figure == figure else " " * 8 for figure in figures)
        print(f"{name:40}{''.join(shown)}".rstrip())


if __name__ == "__main__":
    main()
