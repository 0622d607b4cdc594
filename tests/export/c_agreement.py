"""Networks of the zoo in C beside Python: the same losses, parameters and random numbers."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

import smelt
from smelt import nn
from smelt.random import default_generator
from tests.export.c_targets import OBJECTS, TARGETS, Target
from tests.export.c_zoo import ZOO, Batch, Network, training_step
from tests.export.wasm_program import MODULES, WasmTarget

# targets of C by their names; those of object code behind "object ", and of WebAssembly
KINDS: dict[str, Target | WasmTarget] = TARGETS | MODULES
KINDS |= {f"object {name}": target for name, target in OBJECTS.items()}
# How far losses may differ, relatively. Of the twenty networks resnet8 differs by more, 1.7e-5,
# which is its own sensitivity and no other algorithm: its channels are normalized over two samples,
# many units lie near 0, and one that rounding turns on or off changes all that follows. With eight
# seeds, 100 steps in float32 end up to 4e-2 from the same steps in float64 in C, and up to 6e-2 in
# Python; with three it is Python alone that leaves, with one C (`sensitivity.py`). In float64 no
# rounding reaches so far, so there both must agree.
LOSSES = 1e-5
WIDE = 1e-9  # how far losses and parameters may differ in float64
PARAMETERS = 1e-4  # how far parameters may differ after all steps, relative to the largest
OUTPUTS = 1e-5  # how far outputs may differ, relative to the largest of the batch
# a key's bias moves all scores of a row alike, so its gradient is 0 but for rounding, of which
# Adam makes whole steps: nothing depends on it
WITHOUT_GRADIENT = ("in_proj_bias",)


@dataclass
class Agreement:
    """How far C and Python were apart: of losses and of the tensors of the state, or of outputs."""

    losses: float = 0.0
    parameters: float = 0.0
    outputs: float = 0.0
    has_same_numbers: bool = True  # the generators, to the bit
    wide: Agreement | None = None  # the same in float64, where they are apart
    curves: tuple[np.ndarray, ...] = field(default=(), repr=False)  # losses, of C and of Python
    # all that C gave, as bytes: losses or outputs, and tensors of the state by name
    results: dict[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def is_apart(self) -> bool:
        """Whether a training went another way."""
        return self.losses > LOSSES or self.parameters > PARAMETERS

    def from_wide(self) -> tuple[float, float]:
        """Returns how far the losses of C and of Python are from those in float64, where they are
        apart.
        """
        assert self.wide is not None
        true = self.wide.curves[1]
        ours, python = (float(np.max(abs(curve - true) / abs(true))) for curve in self.curves)
        return ours, python

    def check(self) -> None:
        """Asserts that both are as near as they must be."""
        if self.is_apart:
            assert self.wide is not None, self
            assert max(self.wide.losses, self.wide.parameters) <= WIDE, self
        assert self.outputs <= OUTPUTS, self
        assert self.has_same_numbers, self


def trained(name: str, target: str = "gcc sanitized", steps: int = 100) -> Agreement:
    """Trains a network of the zoo in Python and in C.

    Where a rounding decides whether a unit near 0 is on, two trainings go ways of their own. So if
    they do, both are made in float64 as well, where no rounding reaches as far.
    """
    found = trained_once(name, target, steps)
    if found.is_apart:
        found.wide = trained_once(name, target, steps, wide=True)
    return found


def trained_once(
    name: str, target: str, steps: int, wide: bool = False, seed: int = 1
) -> Agreement:
    """Trains a network of the zoo in Python and in C, in float32 or in float64."""
    network = ZOO[name]
    smelt.manual_seed(seed)
    model = network.make().double() if wide else network.make()
    step = smelt.compile(training_step(network, model))
    batches = _batches(network, steps)
    if wide:
        batches = [
            tuple([x.astype(np.float64) if x.dtype == np.float32 else x for x in batch])
            for batch in batches
        ]
    with tempfile.TemporaryDirectory() as folder:
        made = KINDS[target].export(step, folder, *batches[0], name="training")
        codes, results, state = KINDS[target].program(made)(batches)
    losses = np.array([step(*batch).item() for batch in batches])
    ours = np.array([arrays[0] for arrays in results])
    assert set(codes) == {0}
    found = Agreement(float(np.max(abs(ours - losses) / abs(losses))), curves=(ours, losses))
    parameters = dict(model.named_parameters()) | dict(model.named_buffers())
    for key, array in state.items():
        if key in parameters and not key.endswith(WITHOUT_GRADIENT):
            true = parameters[key].detach().numpy()
            largest = max(float(abs(true).max()), 1e-6)
            found.parameters = max(found.parameters, float(abs(array - true).max()) / largest)
    if "generator" in state:
        expected = default_generator().state.numpy()
        found.has_same_numbers = state["generator"].tobytes() == expected.tobytes()
    found.results = {key: array.tobytes() for key, array in state.items()}
    found.results["losses"] = ours.tobytes()
    return found


def predicted(name: str, target: str = "gcc sanitized", inputs: int = 1000) -> Agreement:
    """Predicts with a network of the zoo in Python and in C."""
    network = ZOO[name]
    smelt.manual_seed(1)
    model: nn.Module = network.make().eval()
    step = smelt.compile(model)
    rows = len(network.batch(np.random.default_rng(0))[0])
    batches = [batch[: network.inputs] for batch in _batches(network, math.ceil(inputs / rows))]
    with tempfile.TemporaryDirectory() as folder:
        made = KINDS[target].export(step, folder, *batches[0], name="inference")
        codes, results, _ = KINDS[target].program(made)(batches)
    assert set(codes) == {0}
    found = Agreement(results={"outputs": b"".join(arrays[0].tobytes() for arrays in results)})
    for batch, arrays in zip(batches, results, strict=True):
        true = step(*batch).detach().numpy()
        difference = float(abs(arrays[0] - true).max() / abs(true).max())
        found.outputs = max(found.outputs, difference)
    return found


def _batches(network: Network, count: int) -> Sequence[Batch]:
    random = np.random.default_rng(2)
    return [network.batch(random) for _ in range(count)]
