"""DLPack: the memory of a tensor for other libraries, and theirs for Smelt.

Tensors are values, and many libraries that take one through DLPack write into its memory, read-only
or not. So the memory is shared only with callers that ask for it (`copy=False`) and know version 1
of the protocol, which can mark memory as read-only. All others get a copy.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np

from smelt import dtypes
from smelt.dtypes import DType
from smelt.errors import ArgumentError, DTypeError, ExchangeError, TraceError
from smelt.tracing.engine import context

if TYPE_CHECKING:
    from smelt.tensor import Tensor

__all__ = ["CPU", "exported", "imported"]

CPU = (1, 0)  # the protocol's name of the device: its kind, its number
_VERSION = (1, 0)  # the first that can say that memory is read-only
_UNSIGNED, _BFLOAT = 1, 4  # the protocol's codes for kinds of numbers
# where the code stands in DLManagedTensor and in DLManagedTensorVersioned, in bytes:
# (data, device, axes) before it; in the latter (version, context, deleter, flags) before these
_CODE_AT = {b"dltensor": 8 + 8 + 4, b"dltensor_versioned": 8 + 8 + 8 + 8 + 8 + 8 + 4}

_name_of = ctypes.pythonapi.PyCapsule_GetName
_name_of.restype, _name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
_memory_of = ctypes.pythonapi.PyCapsule_GetPointer
_memory_of.restype, _memory_of.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]


class _Kind(ctypes.Structure):
    """DLDataType: what the elements are."""

    _fields_ = [
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
    ]


class _Offer:
    """What `numpy.from_dlpack` asks for a capsule."""

    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __dlpack__(self, **options: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return CPU


def exported(
    x: Tensor,
    stream: Any = None,
    max_version: tuple[int, int] | None = None,
    dl_device: tuple[int, int] | None = None,
    copy: bool | None = None,
) -> Any:
    """Returns a DLPack capsule of a tensor.

    Args:
        x: any shape and dtype.
        stream: must be None: there are no streams on a CPU.
        max_version: the newest version of the protocol that the caller knows.
        dl_device: the device of the memory; the CPU.
        copy: False for the tensor's own memory, marked as read-only; else a copy.

    Raises:
        ExchangeError: a stream, another device, memory that cannot be shared as it is, or a tensor
            whose gradient would be lost.
    """
    if stream is not None:
        raise ExchangeError(
            f"DLPack export: stream must be None, since the CPU has no streams; got {stream!r}"
        )
    if x.requires_grad and context.grad_enabled:
        raise ExchangeError(
            "DLPack export of a tensor that requires a gradient would lose the gradient; export "
            "x.detach()"
        )
    if dl_device is not None and _pair("dl_device", dl_device) != CPU:
        raise ExchangeError(
            f"DLPack export: device {dl_device!r} was requested, but Smelt's tensors are on the "
            f"CPU, {CPU}"
        )
    versioned = max_version is not None and _pair("max_version", max_version) >= _VERSION
    array = _shareable(x, versioned) if copy is False else np.array(x.stored, order="C")
    capsule = array.__dlpack__(max_version=_VERSION) if versioned else array.__dlpack__()
    if x.dtype is dtypes.bfloat16:
        _kind_in(capsule).code = _BFLOAT
    return capsule


def _pair(name: str, given: Any) -> tuple[int, int]:
    try:
        first, second = map(int, given)
    except (TypeError, ValueError):
        raise ExchangeError(
            f"DLPack export: {name} must be a pair of whole numbers, got {given!r}"
        ) from None
    return first, second


def _shareable(x: Tensor, versioned: bool) -> np.ndarray:
    if not versioned:
        raise ExchangeError(
            "DLPack export with copy=False: tensors are read-only, which only version 1.0 of the "
            "protocol can express; give max_version=(1, 0), or leave copy out"
        )
    array: np.ndarray = x.stored
    if any(stride < 0 for stride in array.strides):
        raise ExchangeError(
            f"DLPack export with copy=False: the tensor of shape {x.shape} has a negative stride, "
            "which many libraries do not accept; leave copy out"
        )
    view = array.view()
    view.flags.writeable = False
    return view


def imported(source: Any, copy: bool | None) -> tuple[np.ndarray, DType]:
    """Returns the memory that `source` offers through DLPack, as an array, and its dtype.

    Raises:
        ArgumentError: `source` is not on the CPU, or offers nothing.
        DTypeError: its dtype is not one of Smelt's (with copy=False), or has no relative there.
    """
    _check_on_cpu(source)
    capsule = _capsule_of(source)
    kind = _kind_in(capsule)
    is_bfloat16 = kind.code == _BFLOAT and kind.bits == 16
    if is_bfloat16:
        kind.code = _UNSIGNED  # as its bits are stored
    try:
        array = np.from_dlpack(_Offer(capsule))
    except (BufferError, RuntimeError, ValueError) as error:
        raise DTypeError(
            f"from_dlpack: a {type(source).__name__} with elements of DLPack type code "
            f"{kind.code} and {kind.bits} bits: {error}"
        ) from None
    dtype = dtypes.bfloat16 if is_bfloat16 else dtypes.as_dtype(array.dtype)
    if dtype.storage != array.dtype and copy is False:
        raise DTypeError(
            f"from_dlpack: {array.dtype} must be copied to become {dtype.name}; leave copy out"
        )
    return np.array(array, dtype.storage, copy=True if copy else None), dtype


def _check_on_cpu(source: Any) -> None:
    if not hasattr(source, "__dlpack__") or not hasattr(source, "__dlpack_device__"):
        raise ArgumentError(
            f"from_dlpack needs an object with __dlpack__, got a {type(source).__name__}"
        )
    device = source.__dlpack_device__()
    if int(device[0]) != CPU[0]:
        raise ArgumentError(
            f"from_dlpack: got a {type(source).__name__} on device {device}, but Smelt computes "
            "on the CPU; move it there first"
        )


def _capsule_of(source: Any) -> Any:
    try:
        return source.__dlpack__(max_version=_VERSION)
    except TypeError:  # a source from before version 1, as the protocol tells its readers
        return source.__dlpack__()
    except TraceError:
        raise
    except (BufferError, RuntimeError, ValueError) as error:
        raise ArgumentError(
            f"from_dlpack: a {type(source).__name__} does not share its memory: {error}"
        ) from error


def _kind_in(capsule: Any) -> _Kind:
    """Returns what a capsule says of its elements; changing it changes the capsule."""
    name = _name_of(capsule)
    if name not in _CODE_AT:
        raise ArgumentError(
            f"from_dlpack: {capsule!r} is not a DLPack capsule, or was used already"
        )
    return _Kind.from_address(_memory_of(capsule, name) + _CODE_AT[name])
