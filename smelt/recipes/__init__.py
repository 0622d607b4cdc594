"""Complete trainings on real data, each one readable file."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from smelt.recipes import digits, equations, housing, keywords, policy, sensors, stock, titanic
from smelt.recipes.recipe import Result

__all__ = ["RECIPES", "Result"]

RECIPES: Mapping[str, Callable[..., Result]] = {
    "digits": digits.run,
    "equations": equations.run,
    "housing": housing.run,
    "keywords": keywords.run,
    "policy": policy.run,
    "sensors": sensors.run,
    "stock": stock.run,
    "titanic": titanic.run,
}
