"""Module: what it finds, its state, modes, names in errors, settings that compiled steps watch."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import smelt
from smelt import errors, guards, nn
from smelt.location import running


class Block(nn.Module):
    def __init__(self, size: int) -> None:
        self.linear = nn.Linear(size, size)
        self.register_buffer("scale", smelt.ones(1))
        self.register_buffer("scratch", smelt.zeros(1), persistent=False)
        self.register_buffer("unused", None)
        self.temperature = 2.0

    def forward(self, x: smelt.Tensor) -> smelt.Tensor:
        return self.linear(x) * self.scale / self.temperature


class Network(nn.Module):
    def __init__(self) -> None:
        self.encoder = nn.ModuleList([Block(4), Block(4)])
        self.head = nn.Linear(4, 2, bias=False)
        self.shift = nn.Parameter(smelt.zeros(2))

    def forward(self, x: smelt.Tensor) -> smelt.Tensor:
        for block in self.encoder:
            x = block(x)
        return self.head(x) + self.shift


NAMES = ["shift", "encoder.0.linear.weight", "encoder.0.linear.bias"]
NAMES += ["encoder.1.linear.weight", "encoder.1.linear.bias", "head.weight"]


def values(module: nn.Module) -> dict[str, np.ndarray]:
    return {key: tensor.numpy().copy() for key, tensor in module.state_dict().items()}


# --- what it finds --------------------------------------------------------------------------------


def test_parameters_and_buffers_have_pytorchs_names() -> None:
    network = Network()
    assert [name for name, _ in network.named_parameters()] == NAMES
    assert [name for name, _ in network.named_parameters(recurse=False)] == ["shift"]
    buffers = [name for name, _ in network.named_buffers()]
    assert buffers == [f"encoder.{i}.{name}" for i in (0, 1) for name in ("scale", "scratch")]
    assert [name for name, _ in network.named_children()] == ["encoder", "head"]
    assert [name for name, _ in network.named_modules()] == [
        "",
        "encoder",
        "encoder.0",
        "encoder.0.linear",
        "encoder.1",
        "encoder.1.linear",
        "head",
    ]
    assert len(list(network.parameters())) == len(NAMES)
    assert len(list(network.modules())) == 7
    assert len(list(network.children())) == 2
    assert len(list(network.buffers())) == 4


@pytest.mark.parametrize("empty", [list, dict])
def test_layers_that_are_put_into_a_container_later_are_refused(empty: type) -> None:
    class Hidden(nn.Module):
        def __init__(self) -> None:
            self.layers = empty()
            if isinstance(self.layers, dict):
                self.layers["first"] = nn.Linear(2, 2)
            else:
                self.layers.append(nn.Linear(2, 2))

    hidden = nn.Sequential(Hidden())
    for look in (hidden.parameters, hidden.named_buffers, hidden.eval):
        with pytest.raises(
            errors.ArgumentError, match=f"Hidden.layers: .* in a {empty.__name__}; use"
        ):
            list(look())


def test_state_dict_holds_what_persists() -> None:
    assert list(Block(3).state_dict()) == ["scale", "linear.weight", "linear.bias"]


def test_tied_parameters_are_one_parameter_with_two_keys() -> None:
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    second.weight = first.weight
    both = nn.Sequential(first, second)
    assert [name for name, _ in both.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert "1.weight" in both.state_dict()
    assert len(list(both.named_parameters(remove_duplicate=False))) == 4


def test_shared_module_appears_once() -> None:
    shared = nn.Linear(2, 2)
    both = nn.Sequential(shared, shared)
    assert len(list(both.modules())) == 2
    assert list(both.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert both(smelt.ones(1, 2)).shape == (1, 2)


def test_replaced_and_deleted_attributes_are_no_longer_found() -> None:
    block = Block(2)
    block.linear = nn.Identity()
    del block.scale
    assert list(block.state_dict()) == []


def test_plain_tensors_are_neither_parameters_nor_buffers() -> None:
    block = Block(2)
    block.constant = smelt.ones(3)
    assert "constant" not in block.state_dict()


@pytest.mark.parametrize("hidden", [[nn.Identity()], (nn.Identity(),), {"a": nn.Identity()}])
def test_modules_in_plain_containers_are_refused(hidden: object) -> None:
    block = Block(2)
    with pytest.raises(errors.ArgumentError, match=r"Block\.layers: .* use nn\.Module"):
        block.layers = hidden


def test_submodule_may_not_hide_a_method() -> None:
    block = Block(2)
    for name in ("forward", "train", "training"):
        with pytest.raises(errors.ArgumentError, match="rename the submodule"):
            setattr(block, name, nn.Identity())


def test_buffer_may_not_hide_an_attribute() -> None:
    with pytest.raises(errors.ArgumentError, match="already has an attribute 'temperature'"):
        Block(2).register_buffer("temperature", smelt.ones(1))


def test_missing_attribute_is_named_with_the_nearest() -> None:
    with pytest.raises(AttributeError, match="no attribute 'liner'; did you mean 'linear'"):
        _ = Block(2).liner
    assert not hasattr(Block(2), "nothing")


def test_missing_forward_is_named_with_the_nearest() -> None:
    class Typo(nn.Module):
        def foward(self, x: smelt.Tensor) -> smelt.Tensor:
            return x

    with pytest.raises(NotImplementedError, match=r"no forward\(\); did you mean foward"):
        Typo()(smelt.ones(1))


# --- parameters -----------------------------------------------------------------------------------


def test_parameter_owns_its_memory() -> None:
    source = smelt.ones(2)
    parameter = nn.Parameter(source)
    with smelt.no_grad():
        parameter.copy_([3.0, 4.0])
    assert source.tolist() == [1.0, 1.0]
    assert parameter.requires_grad
    assert "Parameter containing" in repr(parameter)


def test_parameter_refuses_integers_and_traces() -> None:
    with pytest.raises(errors.DTypeError, match="int64"):
        nn.Parameter(smelt.tensor([1]))
    with pytest.raises(errors.TraceError, match="inside a compiled step"):
        smelt.compile(lambda x: nn.Parameter(x * 2))(smelt.ones(2))


# --- state ----------------------------------------------------------------------------------------


def test_state_dict_round_trip() -> None:
    source, target = Network(), Network()
    before = dict(target.named_parameters())
    result = target.load_state_dict(source.state_dict())
    assert result == ([], [])
    assert all(before[name] is parameter for name, parameter in target.named_parameters())
    for key, value in values(source).items():
        np.testing.assert_array_equal(value, values(target)[key])


def test_state_dict_takes_numpy_arrays_and_casts() -> None:
    layer = nn.Linear(2, 1)
    layer.load_state_dict({"weight": np.array([[1.0, 2.0]]), "bias": np.array([3])})
    assert layer.weight.tolist() == [[1.0, 2.0]]
    assert layer.bias.dtype is smelt.float32
    assert layer.bias.tolist() == [3.0]


def test_loading_what_does_not_fit_changes_nothing() -> None:
    layer = nn.Linear(2, 1)
    before = values(layer)
    with pytest.raises(errors.StateError) as caught:
        layer.load_state_dict({"weight": smelt.ones(1, 3), "other": smelt.ones(1)})
    message = str(caught.value)
    assert "weight: shape (1, 3) in the state_dict, (1, 2) in the module" in message
    assert "bias: missing" in message
    assert "other: unexpected" in message
    for key, value in before.items():
        np.testing.assert_array_equal(value, values(layer)[key])


def test_loading_not_strictly_says_what_was_left_out() -> None:
    layer = nn.Linear(2, 1)
    given = {"weight": smelt.ones(1, 2), "other": smelt.ones(1)}
    result = layer.load_state_dict(given, strict=False)
    assert result.missing_keys == ["bias"]
    assert result.unexpected_keys == ["other"]
    assert layer.weight.tolist() == [[1.0, 1.0]]
    with pytest.raises(errors.StateError, match="shape"):
        layer.load_state_dict({"weight": smelt.ones(2, 2)}, strict=False)


@pytest.mark.parametrize("through", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_equal_and_apart(through) -> None:
    network = Network().eval()
    network.head.weight.requires_grad_(False)
    other = through(network)
    x = smelt.ones(3, 4)
    np.testing.assert_array_equal(network(x).numpy(), other(x).numpy())
    assert not other.training
    assert not other.head.weight.requires_grad
    with smelt.no_grad():
        other.head.weight.copy_(other.head.weight * 0)
        other.encoder[0].scale.copy_([5.0])
    assert network.head.weight.numpy().any()
    assert network.encoder[0].scale.item() == 1.0


def test_deep_copies_keep_ties() -> None:
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    second.weight = first.weight
    both = copy.deepcopy(nn.Sequential(first, second))
    assert both[0].weight is both[1].weight


def test_to_another_dtype_keeps_the_tensors() -> None:
    block = Block(2)
    block.register_buffer("count", smelt.tensor(1))
    weight = block.linear.weight
    block.double()
    assert block.linear.weight is weight
    assert weight.dtype is smelt.float64
    assert block.scale.dtype is smelt.float64
    assert block.count.dtype is smelt.int64
    assert block(smelt.ones(1, 2, dtype=smelt.float64)).dtype is smelt.float64
    assert block.float().linear.weight.dtype is smelt.float32
    with pytest.raises(errors.DTypeError, match="floats"):
        block.to("int64")


# --- modes ----------------------------------------------------------------------------------------


def test_modes_reach_every_module() -> None:
    network = Network()
    assert network.training
    assert network.eval() is network
    assert not any(module.training for module in network.modules())
    assert all(module.training for module in network.train().modules())


def test_apply_visits_children_first() -> None:
    seen: list[str] = []
    Network().apply(lambda module: seen.append(type(module).__name__))
    assert seen == ["Linear", "Block", "Linear", "Block", "ModuleList", "Linear", "Network"]


def test_gradients_are_forgotten_and_frozen_parameters_get_none() -> None:
    network = Network()
    network.head.requires_grad_(False)
    network(smelt.ones(1, 4)).sum().backward()
    assert network.head.weight.grad is None
    assert network.shift.grad is not None
    network.zero_grad(set_to_none=False)
    assert network.shift.grad.tolist() == [0.0, 0.0]
    network.zero_grad()
    assert network.shift.grad is None


# --- calling --------------------------------------------------------------------------------------


def test_errors_name_the_path_of_the_module() -> None:
    network = Network()
    network.encoder[1].linear = nn.Linear(5, 4)
    with pytest.raises(errors.ShapeError, match=r"in module network\.encoder\.1\.linear\n"):
        network(smelt.ones(1, 4))
    assert running.modules == []


def test_hooks_see_and_replace_outputs() -> None:
    layer, seen = nn.Identity(), []
    first = layer.register_forward_hook(lambda module, inputs, output: seen.append(output))
    second = layer.register_forward_hook(lambda module, inputs, output: output * 2)
    x = smelt.ones(1)
    assert layer(x).item() == 2.0
    assert seen[0] is x
    first.remove()
    second.remove()
    second.remove()
    assert layer(x) is x
    assert len(seen) == 1


# --- static settings ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda n: n.eval(),
        lambda n: setattr(n.encoder[0], "temperature", 3.0),
        lambda n: setattr(n.encoder[0], "temperature", 2),
        lambda n: n.head.weight.requires_grad_(False),
        lambda n: setattr(n.head.weight, "requires_grad", False),
        lambda n: setattr(n, "head", nn.Linear(4, 2)),
        lambda n: setattr(n.head, "weight", nn.Parameter(smelt.ones(2, 4))),
        lambda n: n.encoder.append(nn.Identity()),
        lambda n: n.double(),
        lambda n: n.register_forward_hook(lambda module, inputs, output: None),
    ],
)
def test_changed_settings_are_noticed(change) -> None:
    network = Network()
    before, version = network.fingerprint(), guards.version()
    hash(before)
    assert network.fingerprint() == before
    change(network)
    assert guards.version() != version
    assert network.fingerprint() != before


def test_training_changes_no_setting() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout(0.5))
    optimizer = smelt.optim.Adam(network.parameters())
    before, version = network.fingerprint(), guards.version()
    network(smelt.randn(4, 2)).sum().backward()
    optimizer.step()
    network.train()
    assert guards.version() == version
    assert network.fingerprint() == before


def test_buffers_are_not_replaced_inside_a_compiled_step() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            self.register_buffer("count", smelt.zeros(1))

        def forward(self, x: smelt.Tensor) -> smelt.Tensor:
            self.count = self.count + 1
            return x + self.count

    with pytest.raises(errors.TraceError, match=r"write self\.count\.copy_"):
        smelt.compile(Counter())(smelt.ones(1))


# --- looks ----------------------------------------------------------------------------------------


def test_repr_is_an_indented_tree() -> None:
    assert repr(nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Dropout()))) == (
        "Sequential(\n"
        "  (0): Linear(in_features=2, out_features=3, bias=True)\n"
        "  (1): Sequential(\n"
        "    (0): ReLU()\n"
        "    (1): Dropout(p=0.5)\n"
        "  )\n"
        ")"
    )


# --- memory, devices, and what is given in place of a state_dict ----------------------------------


def test_a_compiled_step_follows_parameters_to_other_memory() -> None:
    layer, x = nn.Linear(2, 2, bias=False), smelt.ones(1, 2)
    step = smelt.compile(lambda x: layer(x))
    step(x)
    layer.to("float64").to("float32")
    with smelt.no_grad():
        layer.weight.copy_(np.full((2, 2), 3.0))
    np.testing.assert_array_equal(step(x).numpy(), [[6.0, 6.0]])


def test_a_dtype_that_a_module_has_changes_nothing() -> None:
    layer = nn.Linear(2, 2)
    memory = layer.weight.stored
    layer.float().cpu().to("cpu")
    assert layer.weight.stored is memory


def test_a_result_from_before_a_change_of_dtype_has_no_gradient() -> None:
    layer = nn.Linear(2, 1)
    loss = (layer(smelt.ones(1, 2)) ** 2).sum()
    layer.double()
    with pytest.raises(errors.GradientError, match="changed in place"):
        loss.backward()


def test_other_devices_are_refused() -> None:
    for move in (lambda m: m.to("cuda"), lambda m: m.cuda(), lambda m: m.to("mps:0")):
        with pytest.raises(errors.ArgumentError, match="computes on the CPU"):
            move(nn.Linear(1, 1))


def test_what_is_no_state_dict_is_refused() -> None:
    layer = nn.Linear(1, 1)
    with pytest.raises(errors.ArgumentError, match=r"got a str; smelt.load\(path\)"):
        layer.load_state_dict("model.safetensors")  # type: ignore[arg-type]
    with pytest.raises(errors.ArgumentError, match=r"got a Linear; pass its state_dict\(\)"):
        layer.load_state_dict(layer)  # type: ignore[arg-type]


class Wrapped(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)


class Endless(nn.Module):
    def forward(self, x):
        return self(x)


def nested(kind: type[nn.Module], depth: int) -> nn.Module:
    model: nn.Module = nn.Linear(2, 2)
    for _ in range(depth):
        model = kind(model)
    return model


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    "make",
    [
        lambda: nested(nn.Sequential, 600),
        lambda: nested(Wrapped, 600),
        lambda: nn.Sequential(nested(Wrapped, 600)),
        Endless,
    ],
)
def test_modules_nested_deeper_than_python_calls(make, compiled: bool) -> None:
    model = make()
    function = smelt.compile(lambda x: model(x)) if compiled else model
    with pytest.raises(errors.DepthError, match=r"modules are nested \d\d+ deep") as caught:
        function(smelt.ones(3, 2))
    assert isinstance(caught.value, RecursionError)
    assert len(str(caught.value)) < 1000
    assert "more)" in str(caught.value)
    assert nn.Linear(2, 2)(smelt.ones(3, 2)).shape == (3, 2)  # and goes on


def test_a_function_that_calls_itself_is_left_to_python() -> None:
    class Own(nn.Module):
        def forward(self, x):
            return self.forward(x)

    with pytest.raises(RecursionError) as caught:
        Own()(smelt.ones(2))
    assert not isinstance(caught.value, errors.SmeltError)
