"""PyTorch's names, by module: where Smelt has them, and what to write where it has not."""

from __future__ import annotations

from smelt.names import answer

__all__ = ["install"]

_LAZY = {
    "smelt": {
        "autograd": "smelt.autograd",
        "backends": "smelt.backends",
        "bool": "smelt.dtypes:bool_",
        "cuda": "smelt.cuda",
        "export": "smelt.export",
        "float": "smelt.dtypes:float32",
        "int": "smelt.dtypes:int32",
        "load": "smelt.export:load",
        "save": "smelt.export:save",
        "train": "smelt.train",
        "utils": "smelt.utils",
    },
    "smelt.nn": {"functional": "smelt.nn.functional", "utils": "smelt.nn.utils"},
}
_NO_SMALL_INTEGERS = "Smelt's integers are int32 and int64, and bool_ is there for masks"
_NO_COMPLEX = "there are no complex numbers; keep real and imaginary parts in an axis of two"
_BY_INDEX = "write x.at[index].set(values) or x.at[index].add(values)"
_THREADS = "write smelt.settings(threads=n)"
_TRACING = "write smelt.compile(function)"
_ONE_PROCESS = "Smelt computes in one process, with threads; leave the wrapper out"
_INSTEAD = {
    "smelt": {
        "arccos": "write acos",
        "arcsin": "write asin",
        "arctan": "write atan",
        "as_strided": "write reshape, permute, expand or slices",
        "autocast": "bring model and data to smelt.bfloat16 with .to()",
        "amp": "bring model and data to smelt.bfloat16 with .to()",
        "bitwise_and": "write x & y",
        "bitwise_not": "write ~x",
        "bitwise_or": "write x | y",
        "bitwise_xor": "write x ^ y",
        "cfloat": _NO_COMPLEX,
        "complex": _NO_COMPLEX,
        "complex64": _NO_COMPLEX,
        "complex128": _NO_COMPLEX,
        "distributed": "Smelt computes on one machine",
        "distributions": "smelt.random has normal, uniform, bernoulli, exponential, poisson, "
        "multinomial; write log-probabilities with smelt's functions",
        "fft": "Smelt has no Fourier transform",
        "func": "smelt itself has grad, vjp, jvp, vmap, jacrev, jacfwd, hessian",
        "fmod": "write x - y * smelt.trunc(x / y)",
        "get_num_threads": _THREADS,
        "hub": "load weights with smelt.export.load_file and model.load_state_dict",
        "index_add": _BY_INDEX,
        "index_copy": _BY_INDEX,
        "index_put": _BY_INDEX,
        "int8": _NO_SMALL_INTEGERS,
        "int16": _NO_SMALL_INTEGERS,
        "jit": _TRACING,
        "linalg": "norm, matmul and einsum are in smelt itself; NumPy has the decompositions",
        "masked_select": "write x[mask], outside a compiled step",
        "multiprocessing": _ONE_PROCESS,
        "nanmean": "write smelt.where(x == x, x, 0) and divide by how many there are",
        "nonzero": "write numpy.nonzero(x.numpy()), or smelt.where(condition, x, y)",
        "onnx": "write smelt.export.save_file(model.state_dict(), path) for the weights",
        "scatter": _BY_INDEX,
        "set_default_dtype": "give dtype= where tensors are made, or model.double()",
        "set_default_device": "leave it out: Smelt computes on the CPU",
        "set_default_tensor_type": "give dtype= where tensors are made, or model.double()",
        "set_num_threads": _THREADS,
        "set_printoptions": "write numpy.set_printoptions(...), which smelt's tensors follow",
        "short": _NO_SMALL_INTEGERS,
        "sparse": "Smelt has dense tensors only",
        "sparse_coo_tensor": "Smelt has dense tensors only",
        "uint8": _NO_SMALL_INTEGERS,
        "use_deterministic_algorithms": "leave it out: Smelt is deterministic",
        "xpu": "Smelt computes on the CPU",
        "mps": "Smelt computes on the CPU",
    },
    "smelt.nn": {
        "DataParallel": _ONE_PROCESS,
        "SyncBatchNorm": "write nn.BatchNorm2d: there is one process",
        "modules": "the layers are in smelt.nn itself",
        "parallel": _ONE_PROCESS,
        "quantized": "Smelt has no quantized layers",
        "ReflectionPad2d": "write F.pad(x, pad, mode='reflect') in forward",
        "ReplicationPad2d": "write F.pad(x, pad, mode='replicate') in forward",
        "ZeroPad2d": "write F.pad(x, pad) in forward",
        "ConstantPad2d": "write F.pad(x, pad, value=value) in forward",
        "UninitializedParameter": "give the sizes: Smelt has no lazy layers",
        "LazyLinear": "write nn.Linear with its number of inputs",
        "LazyConv2d": "write nn.Conv2d with its number of channels",
        "LazyBatchNorm2d": "write nn.BatchNorm2d with its number of channels",
        "EmbeddingBag": "write nn.Embedding and a mean or sum over the axis of places",
    },
    "smelt.nn.utils": {
        "weight_norm": "keep v and g as nn.Parameters, and use g * v / v.norm(dim=1, keepdim=True) "
        "in forward",
        "spectral_norm": "divide the weight by its largest singular value in forward",
        "parametrizations": "compute the weight from nn.Parameters in forward",
        "parametrize": "compute the weight from nn.Parameters in forward",
        "prune": "multiply the weight by a mask, a buffer, in forward",
    },
    "smelt.nn.utils.rnn": {
        "pack_padded_sequence": "give the lengths to the layer: lstm(x, state, lengths)",
        "pad_packed_sequence": "give the lengths to the layer: lstm(x, state, lengths)",
        "pack_sequence": "write pad_sequence, and give the lengths to the layer",
        "PackedSequence": "give the lengths to the layer: lstm(x, state, lengths)",
    },
    "smelt.nn.functional": {
        "upsample": "write x.repeat_interleave(n, -1).repeat_interleave(n, -2) for the nearest",
        "gumbel_softmax": "write F.softmax((x - smelt.log(smelt.exponential(1.0, x.shape))) / tau)",
    },
    "smelt.autograd": {
        "Function": "write the formula with Smelt's functions; its derivative follows from them",
        "functional": "smelt itself has jvp, vjp, hessian, jacrev, jacfwd",
        "detect_anomaly": "write with smelt.settings(check_nan=True)",
        "set_detect_anomaly": "write with smelt.settings(check_nan=True)",
    },
    "smelt.utils.data": {
        "get_worker_info": "leave it out: one worker reads an IterableDataset, so there is nothing "
        "to divide",
    },
    "smelt.utils": {
        "tensorboard": "smelt.train writes metrics into a run folder, with figures",
        "checkpoint": "write smelt.checkpoint(function)",
    },
    "smelt.optim": {},
    "smelt.optim.lr_scheduler": {},
    "smelt.nn.init": {},
    "smelt.random": {},
    "smelt.data": {},
}


def install(module: str) -> None:
    """Lets a module answer for PyTorch's names."""
    answer(module, _LAZY.get(module, {}), _INSTEAD[module])
