"""E7.c, from scratch: a convolutional network of 14 numbers, each gradient written out.

The seven steps of the book, in its order: activations, loss, convolution, its backward pass,
pooling, its backward pass, and the loop. Only NumPy's arrays and their arithmetic, in float32.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

CAT = np.array(
    [[0, 1, 1, 0, 2, 3], [1, 2, 0, 1, 3, 1], [0, 1, 1, 0, 2, 2],
     [1, 0, 2, 3, 1, 0], [2, 3, 1, 0, 1, 2], [0, 1, 0, 2, 3, 1]], np.float32,
)  # fmt: skip
NOT_CAT = np.array(
    [[1, 0, 0, 1, 0, 0], [0, 1, 0, 0, 1, 0], [1, 0, 1, 0, 0, 1],
     [0, 1, 0, 1, 0, 0], [0, 0, 1, 0, 1, 0], [1, 0, 0, 1, 0, 1]], np.float32,
)  # fmt: skip
KERNEL = np.array([[0.1, 0.2, -0.1], [0.0, 0.1, 0.1], [-0.2, 0.0, 0.2]], np.float32)
LR = np.float32(0.01)
EPOCHS = 50


def sigmoid(z: np.float32) -> np.float32:
    """1 / (1 + exp(-z))."""
    return np.float32(1) / (np.float32(1) + np.exp(-z))


def binary_cross_entropy(guess: np.float32, label: int) -> float:
    """-log of the probability that was given to the truth."""
    return float(-np.log(guess if label == 1 else np.float32(1) - guess))


def convolve(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """S(i, j) = sum over m, n of K(m, n) I(i + m, j + n): valid positions only."""
    rows, columns = image.shape[0] - 2, image.shape[1] - 2
    return np.array(
        [
            [(image[i : i + 3, j : j + 3] * kernel).sum() for j in range(columns)]
            for i in range(rows)
        ]
    )


def convolve_backward(image: np.ndarray, g: np.ndarray) -> np.ndarray:
    """The kernel's gradient: over all positions, the patch of input times the output's gradient."""
    grad = np.zeros((3, 3), np.float32)
    for i, j in np.ndindex(g.shape):
        grad += image[i : i + 3, j : j + 3] * g[i, j]
    return grad


def max_pool(x: np.ndarray) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """The largest of each 2 x 2 block, and where it stands; of equal ones the first."""
    pooled, places = np.zeros((2, 2), np.float32), []
    for i, j in np.ndindex(2, 2):
        block = x[2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
        row, column = divmod(int(block.argmax()), 2)
        pooled[i, j] = block[row, column]
        places.append((2 * i + row, 2 * j + column))
    return pooled, places


def max_pool_backward(g: np.ndarray, places: list[tuple[int, int]]) -> np.ndarray:
    """Each gradient goes to where the maximum stood; everything else gets none."""
    grad = np.zeros((4, 4), np.float32)
    for place, value in zip(places, g, strict=True):
        grad[place] += value
    return grad


@dataclass(slots=True)
class Network:
    """Kernel 3 x 3, four weights and a bias: 14 parameters, started as the book does.

    Args:
        late: send the gradient back through the weights of the last layer *after* they were
            updated, as the book's program does; the chain rule wants those from before.
    """

    late: bool = True
    kernel: np.ndarray = field(default_factory=KERNEL.copy)  # (3, 3)
    weight: np.ndarray = field(default_factory=lambda: np.full(4, 0.5, np.float32))
    bias: np.float32 = field(default_factory=lambda: np.float32(0))

    def predict(self, image: np.ndarray) -> float:
        """Returns the probability that a (6, 6) image is a cat's."""
        pooled, _ = max_pool(np.maximum(convolve(image, self.kernel), 0))
        return float(sigmoid(pooled.ravel() @ self.weight + self.bias))

    def learn(self, image: np.ndarray, label: int) -> float:
        """Takes one step of gradient descent on one image; returns the loss before it."""
        rectified = np.maximum(convolve(image, self.kernel), 0)  # (4, 4)
        pooled, places = max_pool(rectified)  # (2, 2)
        flat = pooled.ravel()  # (4,)
        guess = sigmoid(flat @ self.weight + self.bias)
        dz = guess - np.float32(label)  # loss and sigmoid together

        before = self.weight
        self.weight = self.weight - LR * dz * flat
        self.bias = self.bias - LR * dz
        dflat = dz * (self.weight if self.late else before)
        drectified = max_pool_backward(dflat, places)
        dconvolved = np.where(rectified > 0, drectified, 0)  # ReLU lets through what it let through
        self.kernel = self.kernel - LR * convolve_backward(image, dconvolved)
        return binary_cross_entropy(guess, label)


def train(network: Network, epochs: int = EPOCHS) -> list[float]:
    """Shows both images in every epoch, the cat first; returns the mean losses."""
    return [(network.learn(CAT, 1) + network.learn(NOT_CAT, 0)) / 2 for _ in range(epochs)]
