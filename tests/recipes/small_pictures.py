"""The bundled digits in the size and under the name of a larger data set."""

from __future__ import annotations

from typing import Any

import smelt
from smelt.data import load_digits
from smelt.train import Callback, Epoch, StopTraining


def load(split: str = "train", folder: Any = None) -> tuple[smelt.Tensor, smelt.Tensor]:
    """Returns digits (n, 28, 28), each pixel of the bundled ones three times as wide and high."""
    images, labels = load_digits(split)
    large = images.repeat_interleave(3, 1).repeat_interleave(3, 2)
    return smelt.nn.functional.pad(large, (2, 2, 2, 2)), labels


class Stop(Callback):
    """Ends a training after its first epoch."""

    def epoch(self, epoch: Epoch) -> None:
        if epoch.number == 1:
            raise StopTraining("for a test")
