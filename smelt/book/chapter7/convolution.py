"""E7.1: a small image and a small kernel."""

from __future__ import annotations

import numpy as np

import smelt
import smelt.nn.functional as F
from smelt.book.entry import Page, entry

IMAGE = np.arange(1, 17, dtype=np.float32).reshape(4, 4)
KERNEL = np.array([[1, 0], [0, -1]], np.float32)


def by_hand(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Returns S(i, j) = sum over m, n of K(m, n) I(i + m, j + n), wherever the kernel fits."""
    rows, columns = image.shape[0] - kernel.shape[0] + 1, image.shape[1] - kernel.shape[1] + 1
    out = np.zeros((rows, columns), np.float32)
    for i, j in np.ndindex(out.shape):
        window = image[i : i + kernel.shape[0], j : j + kernel.shape[1]]
        out[i, j] = (window * kernel).sum()
    return out


@entry("E7.1", "A valid convolution of 4 x 4 by 2 x 2")
def valid_convolution(page: Page) -> None:
    """Slides [[1, 0], [0, -1]] over the numbers 1 to 16: each output is I(i, j) - I(i+1, j+1) = -5.

        S(i, j) = sum over m, n of K(m, n) I(i + m, j + n)

    What networks call convolution is this cross-correlation. The mathematician's convolution turns
    the kernel by half a turn first, K(1 - m, 1 - n); here that changes the sign. For learned
    kernels it is all one.

    The output has (4 - 2 + 1) rows and columns. Row-major, its strides are 3 and 1 elements. (What
    the book says of ndarray's layout flags is the wrong way round: upper-case C and F say that an
    array is contiguous, lower-case c and f which order is preferred.)
    """
    x, k = smelt.tensor(IMAGE), smelt.tensor(KERNEL)
    correlated = F.conv2d(x[None, None], k[None, None])[0, 0].numpy()  # a batch of one channel
    convolved = F.convolve(x, k, "valid").numpy()
    strides = [stride // correlated.itemsize for stride in correlated.strides]
    page.print("cross-correlation", correlated.tolist())
    page.print("true convolution ", convolved.tolist())
    page.print("shape", list(correlated.shape), "strides", strides)
    page.claim("all nine outputs", -5.0, sorted(set(correlated.ravel().tolist())),
               correlated.shape == (3, 3) and (correlated == -5).all())  # fmt: skip
    page.claim("the formula, by hand", True, np.array_equal(correlated, by_hand(IMAGE, KERNEL)),
               np.array_equal(correlated, by_hand(IMAGE, KERNEL)))  # fmt: skip
    page.claim("a true convolution", 5.0, sorted(set(convolved.ravel().tolist())),
               (convolved == 5).all())  # fmt: skip
    page.claim("strides, row-major", [3, 1], strides, strides == [3, 1])
