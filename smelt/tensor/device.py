"""The device: Smelt computes on the CPU, and programs that name it run unchanged."""

from __future__ import annotations

from typing import Any

from smelt.errors import ArgumentError, ArgumentTypeError

__all__ = ["Device", "check_device", "is_cpu", "no_device"]

_OTHER_DEVICES = ("cuda", "hip", "mps", "tpu", "xla", "xpu")


class Device:
    """The CPU: `smelt.device("cpu")`, and what `x.device` is. It equals the string "cpu".

    Args:
        name: "cpu" or "cpu:0", or a device.
        index: None or 0.

    Attributes:
        type: "cpu".
        index: None.

    Raises:
        ArgumentError: a device other than the CPU.
    """

    __slots__ = ()
    type = "cpu"
    index = None

    def __init__(self, name: Any = "cpu", index: int | None = None) -> None:
        if index not in (None, 0):
            raise no_device(f"{name}:{index}")
        check_device(name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) or other in ("cpu", "cpu:0")

    def __hash__(self) -> int:
        return hash("cpu")

    def __str__(self) -> str:
        return "cpu"

    def __repr__(self) -> str:
        return "device(type='cpu')"

    def __reduce__(self) -> tuple[Any, ...]:
        return Device, ()


def is_cpu(device: Any) -> bool:
    """Returns whether `device` names the CPU; raises ArgumentError when it names another device.

    A device of another library is recognized by its `type`.
    """
    if not isinstance(device, str):
        kind = getattr(device, "type", None)
        return kind == "cpu" or (kind in _OTHER_DEVICES and is_cpu(str(device)))
    kind = device.partition(":")[0]
    if kind in _OTHER_DEVICES:
        raise no_device(device)
    return kind == "cpu"


def check_device(device: Any) -> None:
    """Raises ArgumentError for a device other than the CPU; None is the CPU."""
    if isinstance(device, int) and not isinstance(device, bool):
        raise no_device(f"cuda:{device}")
    if device is not None and not is_cpu(device):
        raise ArgumentTypeError(f"device must be 'cpu' or None, got {device!r}")


def no_device(device: str) -> ArgumentError:
    """Returns the error for a device other than the CPU."""
    return ArgumentError(
        f"there is no device {device!r}: Smelt computes on the CPU; write 'cpu' or leave it out"
    )


CPU = Device()
