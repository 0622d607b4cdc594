"""Complete trainings on real data, each one readable file; a page on which one draws digits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from smelt.export.inference import Inference
from smelt.recipes import (
    cats,
    denoise,
    digits,
    equations,
    fashion,
    housing,
    keywords,
    mnist,
    policy,
    sensors,
    sentiment,
    shakespeare,
    stock,
    titanic,
    translate,
)
from smelt.recipes.drawing import drawing_page
from smelt.recipes.recipe import Result

__all__ = ["INFERENCES", "RECIPES", "Result", "drawing_page"]

#: The recipes by name: functions that train, and return a `Result`.
RECIPES: Mapping[str, Callable[..., Result]] = {
    "digits": digits.run,
    "mnist": mnist.run,
    "fashion": fashion.run,
    "cats": cats.run,
    "shakespeare": shakespeare.run,
    "sentiment": sentiment.run,
    "translate": translate.run,
    "housing": housing.run,
    "titanic": titanic.run,
    "stock": stock.run,
    "denoise": denoise.run,
    "keywords": keywords.run,
    "sensors": sensors.run,
    "policy": policy.run,
    "equations": equations.run,
}

#: For `smelt export`: functions that get the folder of a finished run and its settings, and return
#: an `Inference`.
INFERENCES: Mapping[str, Callable[[Path, Mapping[str, Any]], Inference]] = {
    "digits": digits.inference,
    "mnist": mnist.inference,
    "fashion": fashion.inference,
    "cats": cats.inference,
    "shakespeare": shakespeare.inference,
    "sentiment": sentiment.inference,
    "housing": housing.inference,
    "titanic": titanic.inference,
    "stock": stock.inference,
    "denoise": denoise.inference,
    "keywords": keywords.inference,
    "sensors": sensors.inference,
    "policy": policy.inference,
    "equations": equations.inference,
}
