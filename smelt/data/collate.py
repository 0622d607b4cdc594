"""Combines samples to batches: trees of the same structure, stacked leaf by leaf."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from smelt.dtypes import promote
from smelt.errors import DTypeError, ShapeError
from smelt.tensor import Tensor, as_tensor

__all__ = ["collate"]

TEXT = "data.Vocabulary converts texts to numbers; or make the batch in collate_fn"
HINT = "convert it to numbers, or make the batch in collate_fn"


def collate(samples: Sequence[Any], indices: Sequence[int] | np.ndarray, path: str = "") -> Any:
    """Returns samples of the same structure as one tree of Tensors with a new first axis.

    Args:
        samples: trees of Tensors, arrays and numbers.
        indices: their numbers, for messages.
        path: the part of each sample, such as `["label"]`, for messages.

    Raises:
        ShapeError: samples have different structures or shapes.
        DTypeError: a leaf is neither a number, nor an array, nor a Tensor.
    """
    first = samples[0]
    if isinstance(first, (tuple, list)):
        _check_structure(samples, indices, path)
        columns = enumerate(zip(*samples, strict=True))
        return tuple(collate(column, indices, f"{path}[{index}]") for index, column in columns)
    if isinstance(first, dict):
        _check_structure(samples, indices, path)
        return {
            key: collate([sample[key] for sample in samples], indices, f"{path}[{key!r}]")
            for key in first
        }
    tensors = [_leaf(*pair, path) for pair in zip(samples, indices, strict=True)]
    _check_shapes(tensors, indices, path)
    kind = tensors[0].dtype
    if any(tensor.dtype is not kind for tensor in tensors):
        kind = functools.reduce(promote, (tensor.dtype for tensor in tensors))
        tensors = [tensor.to(kind) for tensor in tensors]
    return Tensor(np.stack([tensor.stored for tensor in tensors]), kind)


def _check_shapes(tensors: list[Tensor], indices: Sequence[int] | np.ndarray, path: str) -> None:
    """Raises for the first sample of another shape than sample 0."""
    wanted = tensors[0].shape
    for tensor, index in zip(tensors, indices, strict=True):
        if tensor.shape != wanted:
            raise ShapeError(
                f"the samples of a batch must have the same shape: sample {index}{path} is "
                f"{tensor.shape}, and sample {indices[0]}{path} {wanted}; give pictures one size "
                "(transforms.Resize), pad sequences in collate_fn (nn.utils.rnn.pad_sequence), or "
                "take batch_size=1"
            )


def _leaf(sample: Any, index: int, path: str) -> Tensor:
    if hasattr(sample, "columns"):
        raise DTypeError(
            f"sample {index}{path} is a {type(sample).__name__}, which is a batch already: write "
            "DataLoader(..., batch_size=None, collate_fn=lambda table: table.tensor(...))"
        )
    try:
        return as_tensor(sample)
    except DTypeError:
        kind = type(sample).__name__
        hint = TEXT if isinstance(sample, str) else HINT
        message = f"sample {index}{path} is not a number, array or Tensor but a {kind}; {hint}"
        raise DTypeError(message) from None


def _check_structure(
    samples: Sequence[Any], indices: Sequence[int] | np.ndarray, path: str
) -> None:
    """Raises for a sample that is built in another way than the first."""
    wanted = _build(samples[0])
    for sample, index in zip(samples, indices, strict=True):
        if (build := _build(sample)) != wanted:
            raise ShapeError(
                f"sample {index}{path} is {build}, and sample {indices[0]}{path} {wanted}: the "
                "samples of a batch must have the same structure"
            )


def _build(sample: Any) -> str:
    if isinstance(sample, dict):
        return f"a dict of {sorted(sample, key=repr)}"
    if isinstance(sample, (tuple, list)):
        return f"a tuple or list of {len(sample)}"
    return f"a {type(sample).__name__}"
