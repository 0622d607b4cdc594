"""What programs ask of CUDA before they use it: there is none, and nothing to wait for."""

from __future__ import annotations

from typing import Any

from smelt.pytorch_names import install as _install

__all__ = [
    "device_count", "empty_cache", "is_available", "manual_seed", "manual_seed_all", "synchronize",
]  # fmt: skip


def is_available() -> bool:
    """Returns False: Smelt computes on the CPU."""
    return False


def device_count() -> int:
    """Returns 0."""
    return 0


def manual_seed(seed: int) -> None:
    """Does nothing: `smelt.manual_seed` seeds the one generator that there is."""


manual_seed_all = manual_seed


def empty_cache() -> None:
    """Does nothing: there is no memory of a device."""


def synchronize(device: Any = None) -> None:
    """Does nothing: a result is there when a call returns."""


_install(__name__)
