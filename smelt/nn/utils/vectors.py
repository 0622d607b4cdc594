"""All parameters of a model as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from smelt.errors import ShapeError
from smelt.tensor import Tensor
from smelt.tensor.shaping import cat, narrow
from smelt.tracing.engine import no_grad

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """Returns the elements of all parameters, concatenated to one vector."""
    return cat([parameter.reshape(-1) for parameter in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copies the elements of a vector to the parameters, in the order of `parameters_to_vector`.

    Raises:
        ShapeError: the vector has another number of elements.
    """
    wanted = list(parameters)
    total = sum(parameter.numel() for parameter in wanted)
    if vec.shape != (total,):
        raise ShapeError(
            f"vector_to_parameters: the vector must have shape ({total},), got {vec.shape}"
        )
    start = 0
    with no_grad():
        for parameter in wanted:
            part = narrow(vec, 0, start, parameter.numel())
            parameter.copy_(part.reshape(parameter.shape))
            start += parameter.numel()
