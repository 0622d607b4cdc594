"""Random graphs as C: eager, interpreted and C agree, as `test_random_graphs.py` says."""

from __future__ import annotations

import pytest
from hypothesis import given as examples
from hypothesis import note

from smelt.dtypes import DType, float32, float64
from tests.compiler import test_random_graphs as graphs
from tests.compiler.c.cases import run_in_c
from tests.compiler.c.compiled import needs_gcc
from tests.compiler.engines import Case
from tests.compiler.random_graphs import Program

pytestmark = [
    needs_gcc,
    pytest.mark.filterwarnings("ignore:.* is unused. the function computes nothing:UserWarning"),
    pytest.mark.filterwarnings("ignore:.* no derivative flows:UserWarning"),
]


@pytest.mark.parametrize("dtype", [float64, float32], ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("structured", [False, True], ids=["plain", "loops and branches"])
def test_graphs_agree(dtype: DType, structured: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Case, "native", run_in_c)

    @graphs.campaign(2)
    @examples(graphs.programs(8, structured=structured))
    def run(group: list[Program]) -> None:
        note(f"reproduce: check({group}, {dtype.name})")
        graphs.check(group, dtype)

    run()
