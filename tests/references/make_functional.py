"""Makes functional.npz: values and gradients of PyTorch's functions in float64. Needs torch.

Run: python tests/references/make_functional.py
"""

import pathlib

import numpy as np
import torch
from functional_cases import ARRAYS, CASES, cotangent

found = {}
for name, (function, arguments, options) in CASES.items():
    known = {}

    def tensor(argument, known=known):
        if isinstance(argument, str) and argument in ARRAYS:
            wanted = not argument.startswith("fixed")
            known[argument] = torch.tensor(ARRAYS[argument]).requires_grad_(wanted)
            return known[argument]
        return argument

    positional = [tensor(argument) for argument in arguments]
    named = {key: tensor(value) for key, value in options.items()}
    y = getattr(torch.nn.functional, function)(*positional, **named)
    (y * torch.tensor(cotangent(y.shape))).sum().backward()
    found[name] = y.detach().numpy()
    for argument, x in known.items():
        if x.grad is not None:
            found[f"{name} by {argument}"] = x.grad.numpy()

np.savez_compressed(pathlib.Path(__file__).with_name("functional.npz"), **found)
print(len(found), "arrays from PyTorch", torch.__version__)
