"""Greedy and beam decoding, and the forms of tasks on sequences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import smelt
import smelt.nn.functional as F
from smelt import errors, nn
from tests.references.running import ENGINES, on

END, TOKENS, LENGTH = 3, 4, 4
BATCH = 2


def table() -> smelt.Tensor:
    """Logits of the next token by sample, turn and last token: (B, length, V + 1, V)."""
    return smelt.tensor(np.random.default_rng(4).normal(size=(BATCH, LENGTH, TOKENS + 1, TOKENS)))


def network():
    """A step that looks at the table; its state is (turn, sample)."""
    logits = table().flatten(0, 2)

    def step(token, state):
        turn, sample = state
        row = (sample * LENGTH + turn) * (TOKENS + 1) + token
        return logits[row], (turn + 1, sample)

    return step, (smelt.zeros(BATCH).long(), smelt.arange(BATCH))


def exhaustive(sample: int, end: int | None) -> list[tuple[float, tuple[int, ...]]]:
    """All sequences with the logarithms of their probabilities, the best first."""
    log_p, found = F.log_softmax(table(), -1).numpy()[sample], {}
    for tokens in itertools.product(range(TOKENS), repeat=LENGTH):
        said, score, last = [], 0.0, TOKENS
        for turn, token in enumerate(tokens):
            if said and said[-1] == end:
                said.append(end)
                continue
            score += log_p[turn, last, token]
            said.append(token)
            last = token
        found[tuple(said)] = score
    return sorted(((score, said) for said, score in found.items()), reverse=True)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("end", [END, None])
def test_a_wide_beam_finds_what_all_sequences_hold(engine: str, end: int | None) -> None:
    step, state = network()
    start = smelt.full((BATCH,), TOKENS)
    run = on(engine, lambda start: nn.beam_decode(step, state, start, end, LENGTH, 120))
    tokens, scores = run(start)
    for sample in range(BATCH):
        for beam, (score, said) in enumerate(exhaustive(sample, end)[:20]):
            assert scores[sample, beam].item() == pytest.approx(score)
            assert tuple(tokens[sample, beam].tolist()) == said


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("end", [END, None])
def test_greedy_says_the_best_token_of_each_turn(engine: str, end: int | None) -> None:
    step, state = network()
    start = smelt.full((BATCH,), TOKENS)
    tokens, scores = on(engine, lambda s: nn.greedy_decode(step, state, s, end, LENGTH))(start)
    log_p = F.log_softmax(table(), -1).numpy()
    for sample in range(BATCH):
        last, score = TOKENS, 0.0
        for turn in range(LENGTH):
            if last == end:
                assert tokens[sample, turn].item() == end
                continue
            score += log_p[sample, turn, last].max()
            last = log_p[sample, turn, last].argmax()
            assert tokens[sample, turn].item() == last
        assert scores[sample].item() == pytest.approx(score)


def test_a_beam_of_one_is_greedy() -> None:
    step, state = network()
    start = smelt.full((BATCH,), TOKENS)
    greedy = nn.greedy_decode(step, state, start, END, LENGTH)
    beam = nn.beam_decode(step, state, start, END, LENGTH, 1)
    assert beam.tokens[:, 0].tolist() == greedy.tokens.tolist()
    np.testing.assert_allclose(beam.scores[:, 0].numpy(), greedy.scores.numpy())


def test_wider_beams_find_no_worse_and_know_when_there_is_no_more() -> None:
    step, state = network()
    start = smelt.full((BATCH,), TOKENS)
    found = [nn.beam_decode(step, state, start, END, LENGTH, width) for width in (1, 3, 300)]
    best = [scores[:, 0].numpy() for _, scores in found]
    assert (best[0] <= best[2]).all()
    assert (best[1] <= best[2]).all()
    scores = found[2].scores.numpy()
    assert (np.isinf(scores).sum(1) == 300 - len(exhaustive(0, END))).all()
    assert (np.diff(scores[:, :100]) <= 0).all()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_decoding_says_what_teacher_forcing_would(kind, engine: str) -> None:
    smelt.manual_seed(1)
    encoder = nn.ManyToOne(kind(3, 4, bidirectional=True, batch_first=True))
    decoder = nn.OneToMany(kind(13, 6, num_layers=2), vocabulary_size=5, context_size=8)
    model, source = nn.EncoderDecoder(encoder, decoder), smelt.randn(3, 7, 3)
    lengths = [7, 2, 5]
    greedy = on(engine, lambda x: model.greedy(x, 0, None, 6, lengths=lengths))(source)
    logits = model(source, nn.shift_right(greedy.tokens, 0), lengths=lengths)
    assert logits.argmax(-1).tolist() == greedy.tokens.tolist()
    total = F.log_softmax(logits, -1).amax(-1).sum(1)
    np.testing.assert_allclose(greedy.scores.numpy(), total.detach().numpy(), rtol=1e-5)
    tokens, scores = on(engine, lambda x: model.beam(x, 0, None, 6, 4, lengths=lengths))(source)
    assert tokens.shape == (3, 4, 6)
    for beam in range(4):
        logits = model(source, nn.shift_right(tokens[:, beam], 0), lengths=lengths)
        total = -F.cross_entropy(logits.transpose(1, 2), tokens[:, beam], reduction="none").sum(1)
        np.testing.assert_allclose(scores[:, beam].numpy(), total.detach().numpy(), rtol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_transformer_decodes_from_what_it_has_said(engine: str) -> None:
    smelt.manual_seed(2)
    embedding, head, length = nn.Embedding(5, 8), nn.Linear(8, 5), 6
    layer = nn.TransformerDecoderLayer(8, 2, 16, 0.0, batch_first=True)
    memory = smelt.randn(3, 4, 8)

    def logits_of(tokens, memory):
        return head(layer(embedding(tokens), memory, tgt_is_causal=True))  # (B, T, V)

    def step(token, state):
        said, place, memory = state
        here = smelt.arange(length) == place.unsqueeze(-1)  # (B, T)
        said = smelt.where(here, token.unsqueeze(-1), said)
        logits = (logits_of(said, memory) * here.unsqueeze(-1)).sum(1)
        return logits, (said, place + 1, memory)

    def decode(memory):
        state = smelt.zeros(3, length).long(), smelt.zeros(3).long(), memory
        return nn.greedy_decode(step, state, smelt.zeros(3).long(), None, length)

    tokens, _ = on(engine, decode)(memory)
    forced = logits_of(nn.shift_right(tokens, 0), memory)
    assert forced.argmax(-1).tolist() == tokens.tolist()


def test_many_to_one_takes_the_last_place_that_counts() -> None:
    smelt.manual_seed(0)
    layer = nn.GRU(3, 4, batch_first=True)
    x = smelt.randn(2, 5, 3)
    last = nn.ManyToOne(layer)(x, [5, 2])
    output, _ = layer(x)
    np.testing.assert_allclose(last[0].detach().numpy(), output[0, 4].detach().numpy(), rtol=1e-6)
    np.testing.assert_allclose(last[1].detach().numpy(), output[1, 1].detach().numpy(), rtol=1e-6)


def test_many_to_many_answers_at_each_place() -> None:
    layer = nn.GRU(3, 4, bidirectional=True, batch_first=True)
    assert nn.ManyToMany(layer, nn.Linear(8, 2))(smelt.randn(2, 5, 3)).shape == (2, 5, 2)
    assert nn.ManyToOne(layer, nn.Linear(8, 2))(smelt.randn(2, 5, 3)).shape == (2, 2)


def test_an_encoder_decoder_learns_to_reverse() -> None:
    smelt.manual_seed(0)
    encoder = nn.ManyToOne(nn.GRU(4, 24, batch_first=True))
    decoder = nn.OneToMany(nn.GRU(32, 24, batch_first=True), vocabulary_size=5, context_size=24)
    model = nn.EncoderDecoder(encoder, decoder)
    optimizer = smelt.optim.Adam(model.parameters(), lr=1e-2)
    words = smelt.tensor(list(itertools.product(range(4), repeat=3)))  # (64, 3)
    source, targets = F.one_hot(words, 4, smelt.float32), words.flip(1)

    @smelt.compile
    def step():
        logits = model(source, nn.shift_right(targets, 4))
        loss = F.cross_entropy(logits.transpose(1, 2), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(150):
        step()
    assert (model.greedy(source, 4, None, 3).tokens == targets).float().mean().item() > 0.97


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: greedy(length=0), errors.ArgumentError, "positive int, got 0"),
        (lambda: greedy(length=-3), errors.ArgumentError, "got -3"),
        (
            lambda: counting(0),
            errors.ShapeError,
            r"got \(\); give one number per sequence, as smelt.full",
        ),
        (
            lambda: greedy(end=TOKENS),
            errors.ArgumentError,
            "end must be one of the 4 tokens, got 4",
        ),
        (lambda: greedy(start=smelt.zeros(BATCH)), errors.DTypeError, "float32"),
        (lambda: greedy(start=smelt.zeros(BATCH, 1).long()), errors.ShapeError, "one token"),
        (lambda: greedy(start=smelt.zeros(5).long()), errors.ShapeError, "must be the batch, 5"),
        (
            lambda: nn.greedy_decode(
                lambda token, state: smelt.zeros(2, 3), (), smelt.zeros(2).long(), None, 2
            ),
            errors.ArgumentError,
            "return a pair",
        ),
        (
            lambda: nn.greedy_decode(
                lambda token, state: (smelt.zeros(3), state), (), smelt.zeros(2).long(), None, 2
            ),
            errors.ShapeError,
            "must return logits",
        ),
        (lambda: beam(0), errors.ArgumentError, "beam_width must be a positive int, got 0"),
        (lambda: beam(2.5), errors.ArgumentError, r"got 2\.5"),
        (lambda: nn.OneToMany(nn.GRU(4, 5), 3, 4), errors.ArgumentError, "context_size 4"),
        (lambda: nn.OneToMany(nn.Linear(4, 5), 3, 2), errors.ArgumentError, "got Linear"),
        (lambda: nn.ManyToOne(nn.LSTMCell(4, 5)), errors.ArgumentError, "got LSTMCell"),
        (lambda: nn.ManyToMany(nn.Linear(4, 5), nn.ReLU()), errors.ArgumentError, "nn.GRU"),
        (
            lambda: nn.OneToMany(nn.GRU(4, 5, bidirectional=True), 3, 2),
            errors.ArgumentError,
            "one direction",
        ),
        (
            lambda: nn.OneToMany(nn.GRU(4, 5), 3, 2)(smelt.ones(2, 3), smelt.ones(2, 4).long()),
            errors.ShapeError,
            r"\(2, 2\), got \(2, 3\)",
        ),
    ],
)
def test_bad_arguments_are_refused(make, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def greedy(start=None, end=END, length=LENGTH):
    step, state = network()
    start = smelt.zeros(BATCH).long() if start is None else start
    return nn.greedy_decode(step, state, start, end, length)


def counting(n):
    """Decodes with a number in the state, which `n` begins."""
    table, start = smelt.zeros(TOKENS, TOKENS), smelt.zeros(BATCH).long()
    return nn.greedy_decode(
        lambda token, state: (table[token], {"n": state["n"] + 1}), {"n": n}, start, END, LENGTH
    )


def test_each_sequence_may_count() -> None:
    assert counting(smelt.zeros(BATCH).long()).tokens.shape == (BATCH, LENGTH)


def beam(width: int):
    step, state = network()
    return nn.beam_decode(step, state, smelt.zeros(BATCH).long(), END, LENGTH, width)
