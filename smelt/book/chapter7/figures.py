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
    """One input at the first step; each output word is the next input.

    The same words, given as inputs (teacher forcing), bring forth the same words.
    """
    words = ["a", "cat", "sleeps"]
    page.figure("one-to-many", plot.unrolled(T, inputs=[0], input_names=["image"],
                                             output_names=words, title="One to many"))  # fmt: skip
    cell, to_word, embed = nn.RNNCell(INPUTS, H), nn.Linear(H, 7), nn.Embedding(7, INPUTS)
    image, h, said = smelt.randn(1, INPUTS), smelt.zeros(1, H), []
    x = image
    for _ in range(T):
        h = cell(x, h)
        word = to_word(h).argmax(1)  # (1,)
        said.append(word.item())
        x = embed(word)
    rnn = nn.RNN(INPUTS, H, batch_first=True)
    rnn.load_state_dict({f"{name}_l0": p for name, p in cell.state_dict().items()})
    inputs = smelt.cat([image, embed(smelt.tensor(said[:-1]))])[None]  # (1, T, INPUTS)
    forced = to_word(rnn(inputs)[0]).argmax(2)[0].tolist()
    page.claim("one image gives three words, teacher forcing the same", said, forced,
               len(said) == T and forced == said)  # fmt: skip


@entry("F7.6", "Many to one: a sentence's sentiment")
def many_to_one(page: Page) -> None:
    """Every word is an input; only the last state is asked."""
    page.figure("many-to-one", plot.unrolled(T, outputs=[T - 1], title="Many to one",
                input_names=["not", "so", "bad"], output_names=["positive"]))  # fmt: skip
    rnn, head = nn.RNN(INPUTS, H, batch_first=True), nn.Linear(H, 2)
    x = smelt.randn(4, T, INPUTS)
    logits = nn.ManyToOne(rnn, head)(x)
    page.claim("a sentence gives one pair of logits", (4, 2), logits.shape, logits.shape == (4, 2))
    states, _ = rnn(x)  # (4, T, H)
    same = bool((head(states[:, -1]) == logits).all())
    page.claim("they are those of the last state", True, same, same)


@entry("F7.7", "Many to many: named entities")
def many_to_many(page: Page) -> None:
    """One output for each input, at the same step."""
    page.figure("many-to-many", plot.unrolled(T, title="Many to many",
                input_names=["Ada", "saw", "Paris"],
                output_names=["person", "-", "place"]))  # fmt: skip
    tagger = nn.ManyToMany(nn.RNN(INPUTS, H, batch_first=True), nn.Linear(H, 3))
    x = smelt.randn(4, T, INPUTS)
    logits = tagger(x)
    page.claim("three logits for each word", (4, T, 3), logits.shape, logits.shape == (4, T, 3))
    change = float((tagger(x[:, :2]) - logits[:, :2]).abs().max())
    page.claim("a later word changes earlier tags by", "< 1e-6", change, change < 1e-6)


@entry("F7.8", "Encoder and decoder")
def encoder_decoder(page: Page) -> None:
    """The encoder's last state, c, is all that the decoder learns of the source sentence.

        h_E(t) = tanh(W_hE h_E(t-1) + W_xE x(t) + b_E),  c = h_E(3)
        h_D(t) = tanh(W_hD h_D(t-1) + W_xD y(t-1) + W_c c + b_D)

    In training y(t-1) is the true word (teacher forcing), afterwards the word that was said.
    """
    source, target = ["the", "cat", "sleeps"], ["le", "chat", "dort", "<end>"]
    page.figure("encoder-decoder", plot.encoder_decoder(source, target))
    words, start = 9, 0
    encoder = nn.ManyToOne(nn.RNN(INPUTS, H, batch_first=True))  # (B, T, INPUTS) -> (B, H)
    decoder = nn.OneToMany(nn.RNN(INPUTS + H, H, batch_first=True), words, context_size=H)
    model = nn.EncoderDecoder(encoder, decoder)
    x = smelt.randn(2, len(source), INPUTS)
    said = smelt.compile(lambda x: model.greedy(x, start, None, len(target)).tokens)(x)  # (2, 4)
    logits = model(x, nn.shift_right(said, start))
    page.claim("lengths differ: 3 words give 4", (2, 4, 9), logits.shape, logits.shape == (2, 4, 9))
    forced = logits.argmax(2).tolist()
    page.claim("teacher forcing and speaking agree", said, forced, said.tolist() == forced)
    other = model(smelt.randn(2, len(source), INPUTS), nn.shift_right(said, start))
    moved = float((other - logits)[:, 0].abs().max())
    page.claim("another source changes the first word's logits", "> 0", moved, moved > 0)


@entry("F7.9", "The LSTM cell")
def lstm_cell(page: Page) -> None:
    """Three gates around a memory that is carried on by a sum.

    With the forget gate open and the input gate shut, the memory goes through any number of steps
    as it is: that is the cell's whole point. Below the drawing a real cell, its gates set so by
    their biases, is given a random memory and a hundred random inputs.
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
    page.claim("a real cell, 100 steps: its memory has changed by", "< 1e-5", kept, kept < 1e-5)
    page.claim("what it shows is tanh of that, error", "< 1e-5", shown, shown < 1e-5)
