"""Complete trainings on real data, each one readable file."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from smelt.recipes import cats, denoise, digits, fashion, mnist
from smelt.recipes.recipe import Result

__all__ = ["RECIPES", "Result"]

RECIPES: Mapping[str, Callable[..., Result]] = {
    "digits": digits.run,
    "cats": cats.run,
    "denoise": denoise.run,
    "fashion": fashion.run,
    "mnist": mnist.run,
}
