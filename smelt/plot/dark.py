"""A figure on a dark page: each color keeps its hue; pale and gray colors invert their lightness.

What was white becomes the dark paper, what was nearly black nearly white, and a pale line stays one
that is hardly seen; a strong color, that of a curve, stays or becomes light. Lightness is that of
Oklab (B. Ottosson, A perceptual color space for image processing, 2020), in which equal steps look
equal.
"""

from __future__ import annotations

import io
import re

import numpy as np

__all__ = ["DARK_PAPER", "dark", "dark_pixels", "holds_pixels", "with_dark_colors"]

COLOR = re.compile(r"(fill|stroke|stop-color): (#[0-9a-f]{6})")
PIXELS = "<image"
DARKEST, LIGHTEST = 0.21, 0.95  # the lightness of what was white, and of what was black
LIFTED = 0.8  # below 1: what was of middle lightness is lighter, so that gray text can be read
GRAYISH, STRONG = 0.08, 0.12  # chroma up to which a color is inverted, from which it is strong
OF_STRONG = 0.7  # the lightness of a strong color, at least
TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def dark(color: str) -> str:
    """Returns what "#rrggbb" becomes on a dark page."""
    channels = np.array([[int(color[start : start + 2], 16) for start in (1, 3, 5)]])
    return "#" + "".join(f"{channel:02x}" for channel in _dark(channels)[0].tolist())


def _dark(colors: np.ndarray) -> np.ndarray:
    """Returns what colors (n, 3), of 0 to 255, become on a dark page."""
    encoded = colors / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    light, *hue = TO_LAB @ np.cbrt(TO_LMS @ linear.T)
    strong = np.clip((np.hypot(*hue) - GRAYISH) / (STRONG - GRAYISH), 0, 1)
    lightness = DARKEST + np.clip(1 - light, 0, 1) ** LIFTED * (LIGHTEST - DARKEST)
    lightness += strong * np.maximum(0.0, OF_STRONG - lightness)
    rgb = np.linalg.solve(TO_LMS, np.linalg.solve(TO_LAB, np.stack([lightness, *hue])) ** 3).T
    rgb = np.clip(rgb, 0, 1)
    encoded = np.where(rgb <= 0.0031308, 12.92 * rgb, 1.055 * rgb ** (1 / 2.4) - 0.055)
    return np.rint(255 * encoded).astype(np.uint8)


DARK_PAPER = dark("#ffffff")


def dark_pixels(png: bytes) -> bytes:
    """Returns a PNG image of a drawing as it is on a dark page, pixel by pixel."""
    from matplotlib.image import imread, imsave

    pixels = np.rint(255 * imread(io.BytesIO(png), "png")[..., :3]).astype(np.uint8)
    colors, places = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True)
    stream = io.BytesIO()
    imsave(stream, _dark(colors)[places.reshape(-1)].reshape(pixels.shape), format="png")
    return stream.getvalue()


def holds_pixels(svg: str) -> bool:
    """Returns whether an SVG document holds pixels, such as a photograph."""
    return PIXELS in svg


def with_dark_colors(svg: str) -> str:
    """Returns an SVG document of matplotlib's that is dark where the reader prefers dark pages.

    One that holds pixels, such as a photograph, stays as it is, on its white paper: what is drawn
    over them was chosen for them.
    """
    if holds_pixels(svg):
        return svg
    rules = [
        f'[style*="{name}: {color}"] {{ {name}: {dark(color)} !important }}'
        for name, color in sorted(set(COLOR.findall(svg)))
    ]
    # what says no color is black
    rules += [f"svg {{ fill: {dark('#000000')} }}"]
    style = f"@media screen and (prefers-color-scheme: dark) {{ {' '.join(rules)} }}"
    start = svg.index(">", svg.index("<svg")) + 1
    return f"{svg[:start]}\n <style>{style}</style>{svg[start:]}"
