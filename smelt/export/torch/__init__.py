"""PyTorch in: an `nn.Module` of PyTorch's as a Module that Smelt computes and trains.

- `from_torch`: the call, from checks to the finished module.
- `reader`: a graph of `torch.export` -> a `program`, with all that has no rule.
- `table`: operator -> rule; the rules stand in a module for each family of operators.
- `structure`: arguments and results as they are nested; `types`: dtypes and tensors.
- `module`: the Module that computes a program.

Only `from_torch`, `reader` and `types` need PyTorch, and only while a module is imported.
"""

from smelt.export.torch.from_torch import from_torch
from smelt.export.torch.module import TorchModule

__all__ = ["TorchModule", "from_torch"]
