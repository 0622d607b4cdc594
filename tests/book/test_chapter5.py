from __future__ import annotations

import numpy as np
import pytest

import smelt
import smelt.book
from smelt.book.chapter5 import max_of_three, max_of_three_cured, perceptron, pictures

pytest.importorskip("matplotlib")

NUMBERS = [one.number for one in smelt.book.entries(5)]


@pytest.mark.parametrize("number", NUMBERS)
def test_every_claim_of_the_chapter_holds(number: str) -> None:
    page = smelt.book.run(number)
    assert page.holds, [claim for claim in page.claims if not claim.holds]


def test_the_chapter_is_complete() -> None:
    assert set(NUMBERS) == set(
        "E5.1 E5.2 E5.3 E5.4 E5.5 E5.6 E5.7 E5.7+ E5.d E5.m E5.p1 E5.p2 T5.1 T5.2 T5.3 F5.1 F5.2 "
        "P5.1 P5.2 P5.3 P5.4".split()
    )


def test_a_perceptron_decides_at_its_line() -> None:
    assert perceptron.perceptron((1.0,), -1.0, 1.0) == 1
    assert perceptron.perceptron((1.0,), -1.0, 0.999) == 0


def test_both_forms_of_the_network_agree() -> None:
    numbers = np.random.default_rng(0).normal(size=21)
    row = smelt.tensor(numbers)
    losses = [
        (max_of_three.predict(numbers, x).x.item() - max(x)) ** 2 for x in max_of_three.TRIPLES
    ]
    together = max_of_three.vector_loss(row, max_of_three.INPUTS, max_of_three.TARGETS)
    assert together.item() == pytest.approx(sum(losses))


def test_training_starts_where_it_is_told() -> None:
    first = max_of_three.train(max_of_three.compiled_reverse, epochs=1)
    again = max_of_three.train(max_of_three.compiled_reverse, epochs=1)
    assert first == again == pytest.approx(328.95768)


def test_fresh_triples_and_their_maxima() -> None:
    x, y = max_of_three_cured.triples(50)
    assert (y.numpy()[:, 0] == x.numpy().max(axis=1)).all()
    assert 0 <= x.min().item() <= x.max().item() <= 10


def test_simulated_data_have_their_sizes() -> None:
    assert pictures.simulated_losses().shape == (100,)
    points, labels = pictures.two_squares()
    assert points.shape == (50, 2)
    assert labels.tolist() == [0] * 25 + [1] * 25
