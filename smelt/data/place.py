"""Where a DataLoader is: the epoch, its order, and how many batches of it came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from smelt.errors import StateError
from smelt.random import Generator, randperm
from smelt.tensor import as_tensor

__all__ = ["Place", "restored_place"]

KEYS = frozenset("epoch begun batches seed order ends samples batch_size generators".split())


@dataclass
class Place:
    """A place in an epoch.

    Attributes:
        epoch: its number.
        done: how many batches came.
        seed: from which its order follows.
        order: the indices of its samples, where a sampler gave them.
        ends: where its batches end in the order, where they differ in size.
    """

    epoch: int
    done: int = 0
    seed: int | None = None
    order: np.ndarray | None = None
    ends: np.ndarray | None = None

    def indices(self, count: int) -> np.ndarray:
        """Returns the indices of the epoch's samples, out of `count`, in order."""
        if self.order is not None:
            return self.order
        if self.seed is None:
            return np.arange(count)
        return randperm(count, generator=Generator(self.seed)).numpy()

    def state(self) -> dict[str, Any]:
        """Returns the place as plain values and tensors."""
        order, ends = (
            None if array is None else as_tensor(array.copy()) for array in (self.order, self.ends)
        )
        return {
            "epoch": self.epoch,
            "batches": self.done,
            "seed": self.seed,
            "order": order,
            "ends": ends,
        }


def restored_place(
    state: Mapping[str, Any], samples: int | None, batch_size: int | None, generators: int
) -> Place:
    """Returns the place of a loader's state.

    Args:
        state: of `DataLoader.state_dict`.
        samples: how many the dataset has; None where it does not say.
        batch_size: of the loader.
        generators: how many it has.

    Raises:
        StateError: the state is of another loader.
    """
    if set(state) != KEYS:
        raise StateError(f"DataLoader: a state_dict has {sorted(KEYS)}, got {sorted(state)}")
    here = {"samples": samples, "batch_size": batch_size, "generators": generators}
    there = {**{key: state[key] for key in here}, "generators": len(state["generators"])}
    for key, value in here.items():
        if there[key] != value:
            raise StateError(
                f"DataLoader: the state is of a loader with {key}={there[key]}, but this one has "
                f"{key}={value}"
            )
    order, ends = (
        None if state[key] is None else np.array(state[key], np.int64) for key in ("order", "ends")
    )
    return Place(int(state["epoch"]), int(state["batches"]), state["seed"], order, ends)
