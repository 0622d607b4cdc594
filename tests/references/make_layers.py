"""Makes layers.npz: values and gradients of PyTorch's layers in float64. Needs torch.

For each case: the state before, the inputs, the output, the weights w of the loss sum(w * output),
the gradients of that loss by parameters and inputs, and the state after.

Run: python tests/references/make_layers.py
"""

import pathlib
import zlib

import numpy as np
import torch
from layer_cases import LAYERS, inputs_of, moving


def record(case):
    kind, settings, _ = LAYERS[case]
    random = np.random.default_rng(zlib.crc32(case.encode()))
    layer = getattr(torch.nn, kind)(**settings)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.tensor(random.normal(size=parameter.shape)))
    found = {f"state/{key}": value.numpy().copy() for key, value in layer.state_dict().items()}
    inputs = [torch.tensor(array) for array in inputs_of(case, random)]
    for number in moving(case):
        inputs[number].requires_grad_()
    output = layer(*inputs)
    w = torch.tensor(random.normal(size=output.shape))
    (w * output).sum().backward()
    found |= {f"input/{number}": x.detach().numpy() for number, x in enumerate(inputs)}
    found |= {f"gradient/{number}": inputs[number].grad.numpy() for number in moving(case)}
    found |= {f"gradient/{key}": p.grad.numpy() for key, p in layer.named_parameters()}
    found |= {f"after/{key}": value.numpy().copy() for key, value in layer.state_dict().items()}
    found |= {"output": output.detach().numpy(), "w": w.numpy()}
    return {f"{case}/{key}": value for key, value in found.items()}


torch.set_default_dtype(torch.float64)
known = {key: value for case in LAYERS for key, value in record(case).items()}
np.savez_compressed(pathlib.Path(__file__).with_name("layers.npz"), **known)
