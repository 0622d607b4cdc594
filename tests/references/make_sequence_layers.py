"""Makes sequence_layers.npz: values and gradients of PyTorch's layers for sequences, in float64.

For each case: the state, the inputs (in `leaves` order, each once), the outputs, and the gradients
of sum(cos(0, 1, 2, ...) * output) over all outputs, by inputs and parameters. Needs torch.

Run: python tests/references/make_sequence_layers.py
"""

import pathlib
import zlib

import numpy as np
import torch
from functional_cases import cotangent
from sequence_cases import LAYERS, leaves, made
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


def tensors(value):
    if isinstance(value, tuple):
        return tuple(map(tensors, value))
    if isinstance(value, np.ndarray):
        return torch.tensor(value).requires_grad_(value.dtype == float)
    return value


def run(layer, inputs, options):
    if "lengths" not in options:
        return layer(*inputs, **options)
    x, *state = inputs
    lengths, places = options["lengths"], x.shape[1]
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    output, final = layer(packed, *state)
    return pad_packed_sequence(output, batch_first=True, total_length=places)[0], final


def record(case):
    kind, settings, specs, options = LAYERS[case]
    random = np.random.default_rng(zlib.crc32(case.encode()))
    layer = getattr(torch.nn, kind)(**settings)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.tensor(random.normal(size=parameter.shape)))
    inputs = []
    for spec in specs:
        value = made(spec, random, inputs)
        inputs.append(value if isinstance(spec, str) else tensors(value))
    fixed = {
        name: torch.tensor(value) if isinstance(value, np.ndarray) else value
        for name, value in options.items()
    }
    outputs = leaves(run(layer, tuple(inputs), fixed))
    sum((y * torch.tensor(cotangent(y.shape))).sum() for y in outputs).backward()
    found = {f"state/{key}": value.numpy() for key, value in layer.state_dict().items()}
    found |= {f"output/{number}": y.detach().numpy() for number, y in enumerate(outputs)}
    for number, x in enumerate(leaves(tuple(inputs))):
        found |= {f"input/{number}": x.detach().numpy(), f"gradient/{number}": x.grad.numpy()}
    found |= {f"gradient/{key}": p.grad.numpy() for key, p in layer.named_parameters()}
    return {f"{case}/{key}": value for key, value in found.items()}


torch.set_default_dtype(torch.float64)
known = {key: value for case in LAYERS for key, value in record(case).items()}
np.savez_compressed(pathlib.Path(__file__).with_name("sequence_layers.npz"), **known)
print(len(known), "arrays from PyTorch", torch.__version__)
