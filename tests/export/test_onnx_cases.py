"""The ONNX backend test suite: what load_onnx makes of a model computes what ONNX says.

All cases run eagerly, and one of each operator compiled; `SMELT_LONG=1` compiles all of them.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt
from smelt import export, tree
from smelt.errors import CompileError, ShapeError, TraceError
from smelt.export.onnx.load.table import CARDS

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnx.backend.test")

from tests.export.onnx_cases import Case, assert_gives, cases, given  # noqa: E402

LONG = bool(os.environ.get("SMELT_LONG"))
LEAST = 1620  # cases that pass
# What a graph makes whose shape depends on data, or lists of tensors that are inputs
NOT_COMPILED = {"NonZero", "Unique", "Compress", "SequenceMap"}


# why a compiled step refuses: it asks for what is known only when it runs
REFUSALS = ("as numbers", "run it eagerly", "both must give the same shape")


def loaded(case: Case, folder: Path) -> export.OnnxModule:
    path = folder / "model.onnx"
    path.write_bytes(case.model)
    return export.load_onnx(path)


def run(case: Case, function: Any, inputs: list[Any]) -> None:
    with np.errstate(all="ignore"):
        found = function(*inputs)
    results = found if isinstance(found, tuple) else (found,)
    assert len(results) == len(case.outputs)
    for got, want in zip(results, case.outputs, strict=True):
        assert_gives(got, want, case.tolerance)


def test_every_case_computes_what_onnx_says_or_has_a_reason(tmp_path: Path) -> None:
    counts: Counter[str] = Counter()
    for case in cases():
        reason = case.reason
        counts[reason or "passed"] += 1
        if reason:
            continue
        try:
            run(case, loaded(case, tmp_path), [given(value) for value in case.inputs])
        except Exception as problem:
            problem.add_note(f"case {case.name}")
            raise
    print(dict(counts.most_common()))
    assert counts["passed"] >= LEAST


def test_what_is_left_out_is_refused_or_differs(tmp_path: Path) -> None:
    """No case is left out that would pass."""
    for case in cases():
        if not case.reason or "random" in case.reason:
            continue
        try:
            run(case, loaded(case, tmp_path), [given(value) for value in case.inputs])
        except Exception:  # whatever the reason is
            continue
        pytest.fail(f"{case.name} passes: it is left out as {case.reason!r}")


def test_most_operators_have_a_case() -> None:
    known = {name for cards in CARDS.values() for name in cards}
    tried = {name for case in cases() if not case.reason for name in case.operators}
    assert known - tried <= {
        "BatchNormalizationInference", "Bernoulli", "ConcatFromSequence", "GlobalLpPool",
        "Gradient", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike",
        "SequenceErase",
    }  # fmt: skip


def compiled_cases() -> list[Case]:
    """Returns one case of each operator, or all."""
    found = [case for case in cases() if not case.reason and not case.operators & NOT_COMPILED]
    if LONG:
        return found
    firsts: dict[str, Case] = {}
    for case in sorted(found, key=lambda case: len(case.operators)):
        for name in case.operators:
            firsts.setdefault(name, case)
    return list({case.name: case for case in firsts.values()}.values())


def test_compiled_cases_give_the_same(tmp_path: Path) -> None:
    """Floats with axes are arguments of the step; other inputs may be sizes, its constants."""
    counts: Counter[str] = Counter()
    for case in compiled_cases():
        model, inputs = loaded(case, tmp_path), [given(value) for value in case.inputs]
        places = [place for place, value in enumerate(inputs) if _is_float(value)]

        def step(*floats: Any, model: Any = model, inputs: Any = inputs, at: Any = places) -> Any:
            values = dict(zip(at, floats, strict=True))
            return model(*[values.get(place, value) for place, value in enumerate(inputs)])

        try:
            run(case, smelt.compile(step), [inputs[place] for place in places])
            counts["passed"] += 1
        except (TraceError, CompileError, ShapeError) as error:
            if not any(reason in str(error) for reason in REFUSALS):
                raise
            counts[f"refused: {type(error).__name__}"] += 1
        except Exception as problem:
            problem.add_note(f"case {case.name}")
            raise
    print(dict(counts))
    assert counts["passed"] > 10 * (sum(counts.values()) - counts["passed"])


# --- files that other programs wrote -------------------------------------------------------------

DATA = Path(onnx.backend.test.__file__).parent / "data"
FOREIGN = [
    path
    for kind in ("pytorch-converted", "pytorch-operator", "simple")
    for path in (DATA / kind).glob("*")
]
REFUSED = ("strnorm",)  # text


def arrays(folder: Path, stem: str) -> list[np.ndarray]:
    """Returns the inputs or outputs that stand in a folder."""
    found = []
    while (path := folder / f"{stem}_{len(found)}.pb").exists():
        found.append(onnx.numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes())))
    return found


def test_files_of_pytorch_and_others_are_read() -> None:
    counts: Counter[str] = Counter()
    for folder in FOREIGN:
        if any(word in folder.name for word in REFUSED):
            with pytest.raises(CompileError):
                export.load_onnx(folder / "model.onnx")
            continue
        model = export.load_onnx(folder / "model.onnx")
        for data in folder.glob("test_data_set_*"):
            found = tree.flatten(model(*arrays(data, "input")))[0]
            for got, want in zip(found, arrays(data, "output"), strict=True):
                np.testing.assert_allclose(got.numpy(), want, 1e-3, 1e-5, err_msg=folder.name)
        counts["passed"] += 1
    print(dict(counts))
    assert not FOREIGN or counts["passed"] >= 130


@pytest.mark.parametrize(
    "path", sorted((DATA / "light").glob("*.onnx")), ids=lambda path: path.stem
)
def test_well_known_networks_are_read(path: Path) -> None:
    model = export.load_onnx(path)
    if not LONG and path.stem not in ("light_squeezenet", "light_zfnet512"):
        return
    (shape,) = [one.shape for one in model._graph.inputs]
    count = math.prod(shape)  # type: ignore[arg-type]
    x = (np.arange(count) / count).reshape(shape).astype(np.float32)
    with smelt.no_grad():
        (got,) = tree.flatten(model(x))[0]
    (want,) = arrays(path.parent, f"{path.stem}_output")
    np.testing.assert_allclose(got.numpy(), want, 1e-3, 1e-5)


def _is_float(value: Any) -> bool:
    """Whether an input is an argument of the compiled step: floats with two axes or more."""
    if isinstance(value, smelt.Tensor):
        return value.dtype.is_float and value.ndim > 1
    return isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.ndim > 1
