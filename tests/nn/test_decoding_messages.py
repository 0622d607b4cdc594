"""What decoding says of a step or a state that does not fit: in the words of decoding."""

from __future__ import annotations

import pytest

import smelt
from smelt import Tensor, nn
from smelt.errors import ArgumentError, ShapeError, SmeltError

B, H, V = 2, 3, 5
START = smelt.zeros(B).long()


@pytest.mark.parametrize(
    "decode",
    [
        lambda step, state: nn.greedy_decode(step, state, START, None, 4),
        lambda step, state: nn.beam_decode(step, state, START, None, 4, 2),
    ],
    ids=["greedy", "beam"],
)
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "native"])
def test_a_swapped_result_is_told_as_one(decode, compiled: bool) -> None:
    def swapped(token: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        return h, smelt.zeros(token.shape[0], V)

    def pair(token: Tensor, state: tuple[Tensor, Tensor]) -> tuple[object, Tensor]:
        return state, smelt.zeros(token.shape[0], V)

    h = smelt.zeros(B, H)
    for step, state, error in ((swapped, h, ShapeError), (pair, (h, h), ArgumentError)):
        run = lambda step=step, state=state: decode(step, state)  # noqa: E731
        with pytest.raises(error, match=r"state that the step returns.*logits first") as caught:
            (smelt.compile(run) if compiled else run)()
        assert "scan" not in str(caught.value)


def test_a_state_of_a_recurrent_layer_is_recognized() -> None:
    layer = nn.GRU(4, H, batch_first=True)
    _, state = layer(smelt.zeros(B, 6, 4))
    with pytest.raises(SmeltError, match=r"\(L, B, H\).*transpose\(0, 1\).*layer\.step"):
        nn.greedy_decode(lambda token, state: (smelt.zeros(B, V), state), state, START, None, 4)

    def step(token: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        h, state = layer.step(smelt.zeros(B, 4), state.transpose(0, 1))
        return smelt.cat([h, h], -1), state.transpose(0, 1)

    said = nn.greedy_decode(step, state.transpose(0, 1), START, None, 4)
    assert said.tokens.shape == (B, 4)
