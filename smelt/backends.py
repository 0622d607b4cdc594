"""PyTorch's switches of its libraries: they can be set, and change nothing."""

from __future__ import annotations

from typing import Any, Final

from smelt.pytorch_names import install as _install

__all__ = ["cuda", "cudnn", "mkl", "mkldnn", "mps"]


class _Backend:
    """A library that Smelt does not use: not available, and with settings without effect."""

    def __init__(self, **parts: Any) -> None:
        vars(self).update(parts)

    def is_available(self) -> bool:
        """Returns False."""
        return False

    def is_built(self) -> bool:
        """Returns False."""
        return False


cudnn: Final = _Backend(enabled=False, benchmark=False, deterministic=True, allow_tf32=False)
cuda: Final = _Backend(matmul=_Backend(allow_tf32=False))
mkl: Final = _Backend()
mkldnn: Final = _Backend(enabled=False)
mps: Final = _Backend()

_install(__name__)
