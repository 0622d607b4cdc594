"""Networks of sequences: recurrent layers, cells, and the forms of a task on sequences."""

from __future__ import annotations

import smelt
import smelt.nn.functional as F
from networks.network import Training, labels, network, numbers, trained
from smelt import Tensor, nn, optim
from smelt.dtypes import DType


@network("recurrent-layers", slow=True)
def layers(dtype: DType) -> Training:
    """An RNN, an LSTM and a GRU: two layers, both directions, dropout, lengths, odd sizes."""
    model = nn.ModuleDict(
        {
            "rnn": nn.RNN(5, 7, 2, nonlinearity="relu", bidirectional=True),
            "lstm": nn.LSTM(14, 9, 2, dropout=0.2, bias=False),
            "gru": nn.GRU(9, 17, bidirectional=True),
            "head": nn.Linear(34, 3),
        }
    ).to(dtype)
    lengths = 1 + labels(11, 6, seed=1)

    def loss_of(x: Tensor, y: Tensor) -> Tensor:
        z, _ = model["rnn"](x, None, lengths)
        z, (h, c) = model["lstm"](z)
        z, _ = model["gru"](z, None, lengths)
        return F.cross_entropy(model["head"](z[-1]), y) + 0.1 * (h * c).square().mean()

    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    return trained(model, optimizer, loss_of, numbers(dtype, 11, 6, 5), labels(3, 6))


@network("cells")
def cells(dtype: DType) -> Training:
    """The three cells, one turn after the other, written out."""
    model = nn.ModuleDict(
        {"rnn": nn.RNNCell(3, 8), "lstm": nn.LSTMCell(8, 8), "gru": nn.GRUCell(8, 8)}
    ).to(dtype)

    def loss_of(x: Tensor, y: Tensor) -> Tensor:
        h = r = None
        state = None
        for now in x:
            r = model["rnn"](now, r)
            state = model["lstm"](r, state)
            h = model["gru"](state[0], h)
        return F.mse_loss(h, y)

    optimizer = optim.RMSprop(model.parameters(), lr=1e-3)
    x, y = numbers(dtype, 5, 33, 3), numbers(dtype, 33, 8, seed=1)
    return trained(model, optimizer, loss_of, x, y)


@network("sequence-forms", slow=True)
def forms(dtype: DType) -> Training:
    """Many to one with both directions, and many to many."""
    gru = nn.GRU(4, 9, batch_first=True, bidirectional=True)
    classifier = nn.ManyToOne(gru, nn.Linear(18, 3)).to(dtype)
    many = nn.ManyToMany(nn.RNN(4, 9, batch_first=True), nn.Linear(9, 5)).to(dtype)
    model = nn.ModuleList([classifier, many])
    lengths = 1 + labels(13, 10, seed=1)

    def loss_of(x: Tensor, y: Tensor, each: Tensor) -> Tensor:
        said = many(x, lengths).reshape(-1, 5)
        return F.cross_entropy(classifier(x, lengths), y) + F.cross_entropy(said, each.reshape(-1))

    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    x, y, each = numbers(dtype, 10, 13, 4), labels(3, 10), labels(5, 10, 13, seed=2)
    return trained(model, optimizer, loss_of, x, y, each)


@network("encoder-decoder", reference=False)
def encoder_decoder(dtype: DType) -> Training:
    """A sequence to another one; after each update it also decodes, greedily and with beams."""
    encoder = nn.ManyToOne(nn.LSTM(4, 16, batch_first=True))
    decoder = nn.OneToMany(nn.GRU(16 + 8, 16, batch_first=True), 11, 16)
    model = nn.EncoderDecoder(encoder, decoder).to(dtype)
    optimizer = optim.Adam(model.parameters(), lr=1e-2)

    def step(source: Tensor, target: Tensor) -> Tensor:
        logits = model(source, nn.shift_right(target, 0))
        loss = F.cross_entropy(logits.reshape(-1, 11), target.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        said = model.greedy(source, 0, 1, 7)
        best = model.beam(source, 0, 1, 7, 3)
        return loss - said.scores.mean() - best.scores[:, 0].mean() + best.tokens.sum()

    arguments = numbers(dtype, 6, 9, 4), labels(11, 6, 7)
    return Training(step, arguments, model, (optimizer,))


@network("long-recurrence", slow=True)
def long_recurrence(dtype: DType) -> Training:
    """An LSTM of 100 turns and 33 units, one direction, 17 sequences."""
    model = nn.ModuleDict({"cell": nn.LSTM(7, 33), "head": nn.Linear(33, 5)}).to(dtype)

    def loss_of(x: Tensor, y: Tensor) -> Tensor:
        states, _ = model["cell"](x)
        return F.cross_entropy(model["head"](smelt.tanh(states)).reshape(-1, 5), y.reshape(-1))

    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x, y = numbers(dtype, 100, 17, 7), labels(5, 100, 17)
    return trained(model, optimizer, loss_of, x, y)
