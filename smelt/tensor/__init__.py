"""Tensors, and all functions of them.

tensor.py       Tensor: an array, or a node of a graph while a step is traced
apply.py        promotion of dtypes, axes, constants
operators.py    + - * / @ and comparisons      arithmetic.py  add, mul, eq, ... by name
methods.py      which functions are methods too
elementary.py   exp, sqrt, where, ...         activations.py  relu, gelu, softmax, ...
reductions.py   sum, mean, argmax, ...        sorting.py      sort, topk, ...
shaping.py      reshape, cat, ...             products.py     matmul, outer, ...
indexing.py     take, gather, scatter_add     subscript.py    x[...] and x.at[...]
einsum.py       einsum                        in_place.py    add_, zero_, ... of states
state_view.py   what x.data is                size.py        what x.size is
spellings.py    PyTorch's names               unsupported.py what PyTorch has and Smelt has not
device.py       the CPU
"""

from smelt.tensor.apply import as_tensor, promoted, reduced
from smelt.tensor.tensor import Tensor

__all__ = ["Tensor", "as_tensor", "promoted", "reduced"]
