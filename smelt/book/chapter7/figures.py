"""F7.4 to F7.9: recurrent networks, drawn; each form is also run, to show its shapes."""

from __future__ import annotations

import smelt
from smelt import nn, plot
from smelt.book.entry import Page, entry

INPUTS, H, T = 3, 5, 3  # inputs, hidden units, steps


@entry("F7.4", "A recurrent network, unfolded")
def unfolded(page: Page) -> None:
    """The same cell at three steps of time: one set of weights, drawn three times."""
    page.figure("unfolded", plot.unrolled(T))
    rnn = nn.RNN(INPUTS, H, batch_first=True)
    x = smelt.randn(1, T, INPUTS)
    states, _ = rnn(x)
    cell = nn.RNNCell(INPUTS, H)
    cell.load_state_dict({name[:-3]: p for name, p in rnn.state_dict().items()})
    h = smelt.zeros(1, H)
    for t in range(T):
        h = cell(x[:, t], h)
    error = float((h - states[:, -1]).abs().max())
    page.claim("one cell, three times, is the layer", "error < 1e-6", error, error < 1e-6)


@entry("F7.5", "One to many: a caption for an image")
def one_to_many(page: Page) -> None:
    """One input at the first step; each output word is the next input."""
    words = ["a", "cat", "sleeps"]
    page.figure("one-to-many", plot.unrolled(T, inputs=[0], input_names=["image"],
                                             output_names=words, title="One to many"))  # fmt: skip
    cell, to_word, embed = nn.RNNCell(INPUTS, H), nn.Linear(H, 7), nn.Embedding(7, INPUTS)
    x, h, said = smelt.randn(1, INPUTS), smelt.zeros(1, H), []
    for _ in range(T):
        h = cell(x, h)
        word = to_word(h).argmax(1)  # (1,)
        said.append(word.item())
        x = embed(word)
    page.claim("one image gives words", T, len(said), len(said) == T and max(said) < 7)


@entry("F7.6", "Many to one: a sentence's sentiment")
def many_to_one(page: Page) -> None:
    """Every word is an input; only the last state is asked."""
    page.figure("many-to-one", plot.unrolled(T, outputs=[T - 1], title="Many to one",
                input_names=["not", "so", "bad"], output_names=["positive"]))  # fmt: skip
    rnn, head = nn.RNN(INPUTS, H, batch_first=True), nn.Linear(H, 2)
    states, last = rnn(smelt.randn(4, T, INPUTS))
    logits = head(last[0])
    page.claim("a sentence gives one pair of logits", (4, 2), logits.shape, logits.shape == (4, 2))
    same = bool((states[:, -1] == last[0]).all())
    page.claim("the final state is the last output", True, same, same)


@entry("F7.7", "Many to many: named entities")
def many_to_many(page: Page) -> None:
    """One output for each input, at the same step."""
    page.figure("many-to-many", plot.unrolled(T, title="Many to many",
                input_names=["Ada", "saw", "Paris"],
                output_names=["person", "-", "place"]))  # fmt: skip
    rnn, head = nn.RNN(INPUTS, H, batch_first=True), nn.Linear(H, 3)
    states, _ = rnn(x := smelt.randn(4, T, INPUTS))
    tags = head(states).argmax(2)
    page.claim("a tag for each word", (4, T), tags.shape, tags.shape == (4, T))
    shorter, _ = rnn(x[:, :2])
    causal = float((shorter - states[:, :2]).abs().max())
    page.claim("later words do not change earlier tags", 0, causal, causal < 1e-6)


@entry("F7.8", "Encoder and decoder")
def encoder_decoder(page: Page) -> None:
    """The encoder's last state is all that the decoder learns of the source sentence."""
    source, target = ["the", "cat", "sleeps"], ["le", "chat", "dort", "<end>"]
    page.figure("encoder-decoder", plot.encoder_decoder(source, target))
    encoder, decoder = nn.RNN(INPUTS, H, batch_first=True), nn.RNN(INPUTS, H, batch_first=True)
    head = nn.Linear(H, 9)
    _, context = encoder(smelt.randn(2, len(source), INPUTS))  # (1, 2, H)
    states, _ = decoder(smelt.randn(2, len(target), INPUTS), context)
    logits = head(states)
    page.claim("lengths differ: 3 words give 4", (2, 4, 9), logits.shape, logits.shape == (2, 4, 9))
    other, _ = decoder(smelt.zeros(2, 1, INPUTS), context)
    blank, _ = decoder(smelt.zeros(2, 1, INPUTS))
    moved = float((other - blank).abs().max())
    page.claim("the context changes the first word's state", "> 0", moved, moved > 0)


@entry("F7.9", "The LSTM cell")
def lstm_cell(page: Page) -> None:
    """Three gates around a memory that is carried on by a sum.

    With the forget gate open and the input gate shut, the memory goes through a hundred steps as it
    is: that is the cell's whole point.
    """
    page.figure("lstm-cell", plot.lstm_cell())
    cell = nn.LSTMCell(INPUTS, H)
    state = {name: smelt.zeros_like(p) for name, p in cell.state_dict().items()}
    # input shut, forget open, candidate 0, output open: H units each
    state["bias_ih"] = smelt.tensor([-20.0] * H + [20.0] * H + [0.0] * H + [20.0] * H)
    cell.load_state_dict(state)
    with smelt.no_grad():
        memory = smelt.randn(1, H)
        h, c = smelt.zeros(1, H), memory
        for _ in range(100):
            h, c = cell(smelt.randn(1, INPUTS), (h, c))
        kept = float((c - memory).abs().max())
        shown = float((h - smelt.tanh(memory)).abs().max())
    page.claim("the memory after 100 steps", "changed by < 1e-5", kept, kept < 1e-5)
    page.claim("what is shown is tanh of it", "error < 1e-5", shown, shown < 1e-5)
