"""The table of layers."""

from __future__ import annotations

import smelt
from smelt import nn
from smelt.nn.summary import summary


def test_summary_counts_and_leaves_the_model_as_it_was() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 2))
    model[3].requires_grad_(False)
    model[2].eval()
    before = model.fingerprint()
    found = summary(model, smelt.ones(5, 4))
    assert [(row.path, row.output, row.parameters) for row in found.rows] == [
        ("", "(5, 2)", 0),
        ("0", "(5, 8)", 40),
        ("1", "(5, 8)", 16),
        ("2", "(5, 8)", 0),
        ("3", "(5, 2)", 18),
    ]
    assert found.parameters == 74
    assert found.trainable == 56
    assert found.size == 4 * 74 + 4 * 16 + 8
    assert model.training
    assert not model[2].training
    assert model[1].num_batches_tracked.item() == 0
    assert model.fingerprint() == before


def test_table() -> None:
    text = str(summary(nn.Sequential(nn.Linear(1000, 8), nn.ReLU()), smelt.ones(5, 1000)))
    assert text.splitlines() == [
        "layer        output  parameters   bytes",
        "---------------------------------------",
        "Sequential   (5, 8)           0       0",
        "  0: Linear  (5, 8)       8,008  32,032",
        "  1: ReLU    (5, 8)           0       0",
        "---------------------------------------",
        "total                     8,008  32,032",
    ]


def test_tied_parameters_count_once_in_the_total() -> None:
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    second.weight = first.weight
    found = summary(nn.Sequential(first, second), smelt.ones(1, 2))
    assert found.parameters == 8
