from __future__ import annotations

from smelt.ir.affine import LANE, Affine, affine
from smelt.ir.loops import Binary, Lanes, Load, constant, index_variable
from tests.compiler import nests

i, j = index_variable("i"), index_variable("j")


def test_sums_and_products_by_numbers():
    index = Binary("sub", nests.mul(nests.add(i, constant(2)), constant(3)), j)
    assert affine(index) == Affine(6, {"i": 3, "j": -1})
    assert affine(Binary("sub", i, i)) == Affine(0)
    assert affine(nests.add(i, Lanes(8))) == Affine(0, {"i": 1, LANE: 1})


def test_what_is_no_sum():
    assert affine(nests.mul(i, j)) is None
    assert affine(Binary("floordiv", i, constant(2))) is None
    kernel = nests.gather(2, 2, 2)
    assert affine(Load(kernel.inputs[1], (i,))) is None


def test_names_may_stand_for_sums():
    names = {"k": Affine(1, {"i": 4}), "m": None}
    assert affine(nests.add(index_variable("k"), i), names) == Affine(1, {"i": 5})
    assert affine(index_variable("m"), names) is None


def test_bounds():
    total = Affine(5, {"i": 2, "j": -1})
    assert total.bounds({"i": (0, 3), "j": (0, 4)}) == (1, 11)
    assert total.bounds({"i": (0, 3)}) is None
    assert total.scaled(0) == Affine(0)
