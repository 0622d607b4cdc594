"""A nan planted at thirty places of ten networks: found by operation, module and line."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import smelt
from smelt.errors import NumericsError
from tests.train import planted

ways = pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])


def run(step: Any, arguments: tuple[Any, ...], compiled: bool) -> Any:
    """Runs a step and looks at what it returns."""
    result = (smelt.compile(step) if compiled else step)(*arguments)
    for loss in result if isinstance(result, tuple) else (result,):
        loss.item()


def test_there_are_thirty_places_in_ten_networks() -> None:
    assert len(planted.PLACES) == 30
    assert {place.network for place in planted.PLACES.values()} == set(planted.NETWORKS)
    assert sum(bool(place.backward_of) for place in planted.PLACES.values()) >= 8


@ways
@pytest.mark.parametrize("name", planted.PLACES)
def test_a_planted_nan_is_found(name: str, compiled: bool) -> None:
    place = planted.PLACES[name]
    step, arguments = planted.made(name, place.network)
    with smelt.settings(check_nan=True), pytest.raises(NumericsError) as caught:
        run(step, arguments, compiled)
    said = str(caught.value)
    assert said.startswith(f"{place.operation} made "), said
    module = re.search(r"\n  in module (.*)", said)
    assert (module.group(1) if module else "") == place.module, said
    line = planted.line_of(name)
    if place.backward_of:
        assert f"\n  in the backward of {place.backward_of} at {line}\n" in said, said
    else:
        assert said.endswith(f"\n  at {line}"), said
        assert "backward" not in said, said


@ways
@pytest.mark.parametrize("network", planted.NETWORKS)
def test_a_healthy_network_trains(network: str, compiled: bool) -> None:
    step, arguments = planted.made("nowhere", network)
    step = smelt.compile(step) if compiled else step
    with smelt.settings(check_nan=True):
        results = [step(*arguments) for _ in range(3)]
    assert np.isfinite(smelt.stack([r[0] if isinstance(r, tuple) else r for r in results])).all()
