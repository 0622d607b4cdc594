"""What is found under PyTorch's names, and what is said of those that Smelt has not."""

from __future__ import annotations

import copy
import functools
import importlib
import re

import numpy as np
import pytest

import smelt
from smelt import nn, optim
from smelt.absent_names import INSTEAD
from smelt.errors import ArgumentError, MissingName, ShapeError
from smelt.name_families import FAMILIES, WHOLE
from smelt.nn.utils import parameters_to_vector, rnn, vector_to_parameters
from smelt.other_libraries import MODEL, OPTIMIZER
from smelt.pytorch_names import _LAZY


@pytest.mark.parametrize(("module", "name"), [(m, n) for m, names in _LAZY.items() for n in names])
def test_names_are_loaded_when_they_are_wanted(module: str, name: str) -> None:
    assert getattr(importlib.import_module(module), name) is not None
    assert name in dir(importlib.import_module(module))


@pytest.mark.parametrize(
    ("module", "name"), [(m, n) for m, names in INSTEAD.items() for n in names]
)
def test_an_absent_name_says_what_to_write(module: str, name: str) -> None:
    asked = smelt.ones(1) if module == "Tensor" else importlib.import_module(module)
    with pytest.raises(AttributeError, match="has no attribute") as caught:
        getattr(asked, name)
    assert INSTEAD[module][name] in str(caught.value)
    assert "test_pytorch_names.py" in str(caught.value)


@pytest.mark.parametrize(
    ("owner", "name", "words"),
    [
        (smelt, "conv2d", "it is smelt.nn.functional.conv2d"),
        (smelt, "Linear", "it is smelt.nn.Linear"),
        (smelt, "detach", r"a method of tensors, x.detach\(\.\.\.\)"),
        (nn, "relu", "it is smelt.relu"),
        (nn, "Adam", "it is smelt.optim.Adam"),
        (nn.functional, "Dropout", "it is smelt.nn.Dropout"),
        (smelt, "exp_", "tensors are values; write exp for a new one"),
        (smelt, "deg2rad_", "write x \\* "),
        (smelt, "sparse_csr_tensor", "dense tensors only"),
        (smelt, "quantize_per_tensor", "no quantized tensors"),
        (smelt, "complex32", "no complex numbers"),
        (smelt, "ScriptModule", "Smelt has no such name, nor a similar one"),
        (smelt.cuda, "current_device", "Smelt computes on the CPU"),
        (smelt.ones(1), "shap", "did you mean 'shape'"),
        (smelt.ones(1), "softplus", "it is smelt.nn.functional.softplus"),
        (smelt.ones(1), "index_add_", r"x.at\[index\].add"),
        (nn.Linear(1, 1), "wieght", "did you mean 'weight'"),
    ],
)
def test_a_name_that_is_elsewhere_or_nowhere(owner, name: str, words: str) -> None:
    assert not hasattr(owner, name)
    with pytest.raises(MissingName, match=words) as caught:
        getattr(owner, name)
    assert "test_pytorch_names.py" in str(caught.value)


def test_protocols_of_python_are_refused_in_few_words() -> None:
    for owner in (smelt, smelt.ones(1)):
        with pytest.raises(AttributeError) as caught:
            owner.__array_struct__  # noqa: B018
        assert type(caught.value) is AttributeError


def test_names_that_pytorch_has_twice() -> None:
    assert smelt.arccos is smelt.acos
    assert smelt.concat is smelt.cat
    assert smelt.pi == np.pi
    assert smelt.ones(2).greater(0).tolist() == [True, True]


def test_a_misspelled_name_gets_the_nearest() -> None:
    with pytest.raises(AttributeError, match="did you mean 'zeros'"):
        smelt.zeroes  # noqa: B018
    with pytest.raises(AttributeError, match="did you mean 'Linear'"):
        nn.Lineer  # noqa: B018
    with pytest.raises(AttributeError, match="did you mean 'kaiming_uniform_'"):
        nn.init.kaiming_unifrom_  # noqa: B018
    assert not hasattr(smelt, "__wrapped__")


def test_dtypes_have_pytorchs_names() -> None:
    assert smelt.long is smelt.int64
    assert smelt.float is smelt.float32
    assert smelt.double is smelt.float64
    assert smelt.half is smelt.float16
    assert smelt.int is smelt.int32
    assert smelt.bool is smelt.bool_


def test_types_make_tensors() -> None:
    assert smelt.FloatTensor(2, 3).shape == smelt.Tensor(2, 3).shape == (2, 3)
    assert smelt.LongTensor([1, 2]).dtype is smelt.int64
    assert smelt.Tensor([1, 2]).dtype is smelt.Tensor(np.ones(2)).dtype is smelt.float32
    assert smelt.Tensor().shape == (0,)
    assert smelt.Tensor(2, 3, 4, 5).shape == (2, 3, 4, 5)
    assert smelt.ones(2).type(smelt.LongTensor).dtype is smelt.int64
    assert smelt.ones(2).type() == "smelt.FloatTensor"


def test_the_device_is_the_cpu() -> None:
    device = smelt.device("cuda" if smelt.cuda.is_available() else "cpu")
    assert smelt.ones(2).device == device == "cpu"
    assert device.type == str(device) == "cpu"
    assert smelt.ones(2).to(device).shape == (2,)
    with pytest.raises(ArgumentError, match="no device"):
        smelt.device("cpu", 3)


def test_grad_mode() -> None:
    x = smelt.ones(1, requires_grad=True)
    with smelt.inference_mode():
        assert not (x * 2).requires_grad
    with smelt.set_grad_enabled(False):
        assert not smelt.is_grad_enabled()
    assert smelt.is_grad_enabled()
    smelt.set_grad_enabled(False)
    assert not (x * 2).requires_grad
    smelt.set_grad_enabled(True)
    assert (x * 2).requires_grad


def test_parameters_as_a_vector() -> None:
    layer = nn.Linear(2, 3)
    vector = parameters_to_vector(layer.parameters())
    assert vector.shape == (9,)
    vector_to_parameters(smelt.arange(9).float(), layer.parameters())
    assert layer.bias.tolist() == [6, 7, 8]
    with pytest.raises(ShapeError, match=r"must have shape \(9,\), got \(2,\)"):
        vector_to_parameters(smelt.ones(2), layer.parameters())


def test_sequences_are_padded() -> None:
    parts = [smelt.ones(2), smelt.ones(1)]
    assert rnn.pad_sequence(parts, batch_first=True).tolist() == [[1, 1], [1, 0]]
    assert rnn.pad_sequence(parts, padding_value=5, padding_side="left").tolist() == [
        [1, 5],
        [1, 1],
    ]
    with pytest.raises(ShapeError, match="only differ in the first axis"):
        rnn.pad_sequence([smelt.ones(2, 2), smelt.ones(1)])


def test_datasets_one_behind_the_other() -> None:
    whole = smelt.utils.data.ConcatDataset([[1, 2], [3]])
    assert [whole[index] for index in range(len(whole))] == [1, 2, 3]
    assert whole[-1] == 3
    with pytest.raises(ArgumentError, match="at least one"):
        smelt.utils.data.ConcatDataset([])


ROOMS = {"smelt": smelt, "nn": nn, "F": nn.functional, "optim": smelt.optim, "x": smelt.ones(2, 2)}


def test_hints_name_what_there_is() -> None:
    texts = [text for names in INSTEAD.values() for text in names.values()]
    texts += [*MODEL.values(), *OPTIMIZER.values()]
    texts += [reason for _, reason in (*FAMILIES, *WHOLE.values())]
    named = {
        path
        for text in texts
        for path in re.findall(r"(?<![.\w])(?:smelt|nn|F|optim|x)(?:\.[a-zA-Z_]\w*)+", text)
    }
    assert len(named) > 100
    for path in sorted(named):
        room, *names = path.split(".")
        assert functools.reduce(getattr, names, ROOMS[room]) is not None, path


@pytest.mark.parametrize("name", MODEL)
def test_what_a_model_does_elsewhere_says_what_to_write(name: str) -> None:
    with pytest.raises(MissingName) as caught:
        getattr(nn.Linear(1, 1), name)
    assert MODEL[name] in str(caught.value)

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            setattr(self, name, 3)

    assert getattr(Own(), name) == 3


@pytest.mark.parametrize("name", OPTIMIZER)
def test_what_an_optimizer_does_elsewhere_says_what_to_write(name: str) -> None:
    optimizer = optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1)
    assert not hasattr(optimizer, name)
    with pytest.raises(MissingName) as caught:
        getattr(optimizer, name)
    assert OPTIMIZER[name] in str(caught.value)
    assert "test_pytorch_names.py" in str(caught.value)
    setattr(optimizer, name, 3)
    assert getattr(optimizer, name) == 3


def test_a_misspelt_name_of_an_optimizer_gets_the_nearest() -> None:
    optimizer = optim.Adam(nn.Linear(1, 1).parameters())
    with pytest.raises(MissingName, match="Adam has no attribute 'zero_gard'; did you mean 'zero"):
        optimizer.zero_gard()  # type: ignore[attr-defined]
    with pytest.raises(AttributeError) as caught:
        optimizer.__array_struct__  # type: ignore[attr-defined]  # noqa: B018
    assert type(caught.value) is AttributeError
    assert copy.deepcopy(optimizer).param_groups[0]["lr"] == 1e-3


def test_a_model_that_computes_in_call_is_told_of_forward() -> None:
    class Keras(nn.Module):
        def call(self, x: object) -> object:
            return x

    with pytest.raises(NotImplementedError, match=r"did you mean call\(\) to be it"):
        Keras()(smelt.ones(1))
