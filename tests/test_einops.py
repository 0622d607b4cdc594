"""einops on tensors; skipped where einops is not installed (it is no dependency of Smelt)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import smelt

einops = pytest.importorskip("einops", reason="einops is not installed")


def test_einops_takes_tensors() -> None:
    array = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    x = smelt.tensor(array)
    for pattern in ("b c d -> d (c b)", "b c d -> b d c"):
        expected = einops.rearrange(array, pattern)
        np.testing.assert_array_equal(einops.rearrange(x, pattern), expected)
    for reduction in ("min", "max", "sum", "mean", "prod"):
        found = einops.reduce(x, "b c d -> c", reduction)
        np.testing.assert_allclose(found, einops.reduce(array, "b c d -> c", reduction), rtol=1e-5)
    assert einops.repeat(x, "b c d -> b c r d", r=2).shape == (2, 3, 2, 4)
    packed, shapes = einops.pack([x, x], "b * d")
    assert einops.unpack(packed, shapes, "b * d")[1].tolist() == x.tolist()
    assert einops.einsum(x, x, "b c d, b e d -> b c e").shape == (2, 3, 3)


def test_einops_within_a_step_and_a_gradient() -> None:
    x = smelt.ones(2, 3, 4)
    flat = smelt.compile(lambda x: einops.rearrange(x, "b c d -> b (c d)") * 2)
    assert flat(x).shape == (2, 12)
    assert smelt.grad(lambda x: einops.reduce(x, "b c d -> ", "mean"))(x).shape == x.shape


ELSEWHERE = """
import sys, zipfile
from importlib.machinery import PathFinder
from pathlib import Path
folder, archive, way = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
if way == "archive":  # one loader for all modules in it
    with zipfile.ZipFile(archive, "w") as file:
        for path in folder.rglob("*.py"):
            file.write(path, path.relative_to(folder.parent))
    sys.path.insert(0, archive)
else:  # as what is installed to be edited

    class Finder:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] == "einops":
                return PathFinder.find_spec(name, path or [str(folder.parent)])

    sys.path[:] = [path for path in sys.path if not (Path(path) / "einops").exists()]
    sys.meta_path.append(Finder())
import smelt
import einops
assert (archive in einops.__file__) == (way == "archive")
assert einops.rearrange(smelt.ones(2, 3), "a b -> b a").shape == (3, 2)
backends = sys.modules["einops._backends"]
assert "Adds" not in repr(backends.__loader__) + repr(backends.__spec__)
"""


@pytest.mark.parametrize("way", ["archive", "finder"])
def test_einops_is_noticed_wherever_it_lies(way: str, tmp_path: Path) -> None:
    given = (str(Path(einops.__file__).parent), str(tmp_path / "einops.zip"), way)
    subprocess.run([sys.executable, "-c", ELSEWHERE, *given], check=True)
