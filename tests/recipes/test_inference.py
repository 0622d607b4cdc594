"""What the networks of recipes compute for `smelt export` is what the recipes compute."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
import smelt_runtime
from smelt import export
from smelt.data import Preprocessing, StandardScaler
from smelt.errors import FileError
from smelt.recipes import (
    INFERENCES,
    RECIPES,
    cats,
    keywords,
    policy,
)  # fmt: skip
from smelt.recipes.recipe import keep_preprocessing
from smelt.train import RunFolder, predict
from smelt_runtime.processor import features

pytest.importorskip("safetensors")

ROWS = 3
RANDOM = np.random.default_rng(0)
CENSUS = (
    "longitude latitude housing_median_age total_rooms total_bedrooms population households "
    "median_income"
).split()
PASSENGERS = {
    "Pclass": [1, 2, 3], "Sex": ["male", "female", "male"], "Title": ["Mr", "Mrs", "other"],
    "Age": [20.0, None, 40.0], "SibSp": [0, 1, 2], "Parch": [2, 1, 0], "Fare": [7.0, 8.0, 90.0],
    "Embarked": ["S", None, "C"],
}  # fmt: skip


def softmax_of(model: Any, x: smelt.Tensor) -> np.ndarray:
    return F.softmax(predict(model, x), -1).numpy()


def of_words(model: Any, x: smelt.Tensor) -> np.ndarray:
    return softmax_of(model, keywords.spectrograms(x, smelt.zeros(len(x))).tensors[0])


def of_cats(model: Any, x: smelt.Tensor) -> np.ndarray:
    chances = cats.classify(model, x)
    return np.stack([1 - chances, chances], 1)


def of_points(model: Any, x: smelt.Tensor) -> np.ndarray:
    return np.array([model.at(model.weights, point).item() for point in x])


def of_states(model: Any, x: smelt.Tensor) -> np.ndarray:
    return softmax_of(model.actor, policy.seen(x))


def of_noisy(model: Any, x: smelt.Tensor) -> np.ndarray:
    return model.restore(x).numpy()


def drawn(model: Any, z: smelt.Tensor, kinds: smelt.Tensor) -> np.ndarray:
    return model.eval()(z, kinds).numpy()


class Tokens:
    """Stands for a vocabulary of some size."""

    state: ClassVar[dict[str, Any]] = {
        "tokens": [*"abcdefghij"],
        "tokenize": "split_words",
        "join": " ",
    }

    def __len__(self) -> int:
        return len(self.state["tokens"])


def scaler() -> StandardScaler:
    return StandardScaler().fit(RANDOM.normal(size=(20, 2)) * 0.01)


def census() -> Preprocessing:
    from smelt.recipes.housing import ADDED

    columns: dict[str, Any] = {name: RANDOM.uniform(1, 9, 20) for name in CENSUS}
    columns["ocean_proximity"] = ["INLAND", "NEAR BAY"] * 10
    return Preprocessing().fit({**columns, **{name: RANDOM.normal(size=20) for name in ADDED}})


def passengers() -> Preprocessing:
    from smelt.recipes.titanic import COLUMNS

    return Preprocessing(types=COLUMNS).fit(PASSENGERS)


# recipe, settings -> what a network is made from, what is kept of it, and what the recipe computes
Case = tuple[str, dict[str, Any], Callable[[], Any] | None, Callable[..., np.ndarray] | None]
CASES: dict[str, Case] = {
    "digits": ("digits", {}, None, softmax_of),
    "mnist": ("mnist", {}, None, softmax_of),
    "fashion": ("fashion", {}, None, softmax_of),
    "cats": ("cats", {"width": 4, "area": 0.5, "jitter": 0.1}, None, of_cats),
    "keywords": ("keywords", {}, None, of_words),
    "sensors": ("sensors", {}, None, softmax_of),
    "policy": ("policy", {"method": "actor-critic"}, None, of_states),
    "burgers": ("equations", {"equation": "burgers"}, None, of_points),
    "poisson": ("equations", {"equation": "poisson"}, None, of_points),
    "vae": ("denoise", {"model": "vae"}, None, of_noisy),
    "gan": ("denoise", {"model": "gan"}, None, drawn),
    "shakespeare": ("shakespeare", {}, Tokens, softmax_of),
    "sentiment": ("sentiment", {}, Tokens, softmax_of),
    "stock": ("stock", {"days": 5}, scaler, None),
    "housing": ("housing", {}, census, None),
    "titanic": ("titanic", {}, passengers, None),
}


def made(case: str, folder: Path) -> tuple[Any, Any]:
    """Returns a network with random weights, and what its run computes."""
    recipe, settings, preprocessing, _ = CASES[case]
    module = sys.modules[RECIPES[recipe].__module__]
    smelt.manual_seed(0)
    kept = None if preprocessing is None else preprocessing()
    taken = recipe in ("shakespeare", "sentiment", "housing", "titanic")
    model = module.make_model(kept) if taken else module.make_model(**given(recipe, settings))
    run = RunFolder(folder, model, {"recipe": recipe, **settings})
    run.start(1)
    run.end(None)  # type: ignore[arg-type]
    if kept is not None:
        keep_preprocessing(folder, kept.state if isinstance(kept, Tokens) else kept.state_dict())
    return model, INFERENCES[recipe](folder, settings)


def given(recipe: str, settings: dict[str, Any]) -> dict[str, Any]:
    return {} if recipe == "stock" else settings


def inputs_of(inference: Any) -> list[np.ndarray]:
    """Returns random numbers for each input, or numbers of the first categories."""
    arrays = []
    for one in inference.inputs:
        shape = (ROWS, *one.shape)
        whole = one.dtype.name == "int32"
        array = RANDOM.integers(0, 3, shape) if whole else RANDOM.uniform(0.1, 0.9, shape)
        arrays.append(array.astype(one.dtype.storage))
    return arrays


def test_there_is_a_case_for_each() -> None:
    assert {recipe for recipe, *_ in CASES.values()} == set(INFERENCES)
    assert set(INFERENCES) == set(RECIPES) - {"translate"}


@pytest.mark.parametrize("case", CASES)
def test_what_leaves_python_computes_what_the_recipe_does(case: str, tmp_path: Path) -> None:
    model, inference = made(case, tmp_path)
    arrays = inputs_of(inference)
    tensors = [smelt.tensor(array) for array in arrays]
    found = inference.module(*tensors).detach().numpy()
    assert found.dtype == inference.output.dtype.storage
    assert found.shape == (ROWS, *inference.output.shape)
    classes = inference.output.facts.get("classes")
    assert classes is None or len(classes) == found.shape[-1]
    wanted = CASES[case][3]
    if wanted is not None:
        np.testing.assert_allclose(found, wanted(model, *tensors), rtol=1e-4, atol=1e-5)
    check_library(inference, arrays, found, tmp_path)
    check_onnx(inference, arrays, found, tmp_path)


def check_library(inference: Any, arrays: Any, found: np.ndarray, folder: Path) -> None:
    if sys.platform != "linux" or not {"avx2", "asimd"} & features():
        return
    path = folder / "x.smeltlib"
    export.to_library(inference.module, path, *inference.arguments(ROWS))
    got = smelt_runtime.load(path)(*arrays)
    np.testing.assert_allclose(got, found, rtol=1e-4, atol=1e-5)


def check_onnx(inference: Any, arrays: Any, found: np.ndarray, folder: Path) -> None:
    reference = pytest.importorskip("onnx.reference")
    path, names = folder / "x.onnx", [one.name for one in inference.inputs]
    axes = {name: {0: "rows"} for name in names}
    export.save_onnx(inference.module, path, *inference.arguments(1), dynamic_axes=axes)
    (got,) = reference.ReferenceEvaluator(str(path)).run(
        None, dict(zip(names, arrays, strict=True))
    )
    np.testing.assert_allclose(got, found, rtol=1e-4, atol=1e-5)


def test_a_run_that_has_not_kept_its_preprocessing_is_refused(tmp_path: Path) -> None:
    made("stock", tmp_path)
    (tmp_path / "preprocessing.safetensors").unlink()
    with pytest.raises(FileError, match=r"has no preprocessing\.safetensors, without which"):
        INFERENCES["stock"](tmp_path, {"days": 5})
