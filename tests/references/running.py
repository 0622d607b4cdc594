"""Runs a step on the engine that a test asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import smelt

ENGINES = ("eager", "compiled")


def on(engine: str, step: Callable[..., Any]) -> Callable[..., Any]:
    """Returns `step` as it is, or compiled."""
    return {"eager": lambda: step, "compiled": lambda: smelt.compile(step)}[engine]()
