"""Translate: captions of images, from English into French.

`model` chooses one of two networks: a Transformer, or a bidirectional LSTM encoder and an LSTM
decoder with attention. They are trained on 29,000 pairs of captions (Multi30k), divided into 4,000
subwords that both languages share; the subwords are learned from the training pairs (byte-pair
encoding, by the library `tokenizers`). Sizes are those of small networks in the literature on these
captions; progress is measured on the 1,014 validation pairs. At the end the network translates the
1,000 captions of the 2016 test set by beam search, and sacrebleu compares them with the original
French captions: BLEU with upper and lower case.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

import smelt
import smelt.nn.functional as F
from smelt import nn, optim, plot, train
from smelt.atomic import write_bytes
from smelt.data import DataLoader, LengthBatchSampler, Tokenizer, load_multi30k
from smelt.errors import ArgumentError, MissingExtra
from smelt.limits import Within
from smelt.recipes.recipe import BatchSize, DataFolder, Epochs, Rate, Result, Seed
from smelt.tensor import Tensor

__all__ = ["Recurrent", "Transformer", "make_model", "run", "translate"]

SPECIALS = PAD, START, END = "<pad>", "<start>", "<end>"
PADDING, BEGIN, STOP = range(3)  # their numbers
PIECES = 4000
WIDTH, HEADS, LAYERS, DROPOUT = 128, 4, 3, 0.1
SMOOTHING = 0.1
VALIDATED, SAID = 64, 100  # sentences at once, in the validation and in translating
GRID, COARSE = 8, 16  # what lengths are multiples of: of batches to learn from, to translate
RATES = {"transformer": 4e-3, "lstm": 2e-3}
LONGER = 10  # tokens that a translation may be longer than its source
PIECES_FILE, TRANSLATIONS = "tokenizer.json", "translations.txt"
Pair = tuple[list[int], list[int]]


class Transformer(nn.Module):
    """Encoder and decoder of three blocks each; embedding and head share their weights."""

    def __init__(self, tokens: int) -> None:
        self.embedding = nn.Embedding(tokens, WIDTH, padding_idx=PADDING)
        self.positions = nn.PositionalEncoding(WIDTH, DROPOUT, batch_first=True)
        self.blocks = nn.Transformer(
            WIDTH, HEADS, LAYERS, LAYERS, 2 * WIDTH, DROPOUT, batch_first=True, norm_first=True
        )
        nn.init.normal_(self.embedding.weight, std=WIDTH**-0.5)

    def embed(self, tokens: Tensor) -> Tensor:  # (n, t)
        return self.positions(self.embedding(tokens) * WIDTH**0.5)  # (n, t, 128)

    def forward(self, source: Tensor, previous: Tensor) -> Tensor:  # (n, s), (n, t)
        said = self.decode(previous, *self.encode(source))
        return F.linear(said, self.embedding.weight)  # (n, t, tokens)

    def encode(self, source: Tensor) -> tuple[Tensor, Tensor]:
        padding = source == PADDING
        return self.blocks.encoder(self.embed(source), src_key_padding_mask=padding), padding

    def decode(self, previous: Tensor, memory: Tensor, padding: Tensor) -> Tensor:
        return self.blocks.decoder(
            self.embed(previous), memory, tgt_is_causal=True, memory_key_padding_mask=padding
        )  # (n, t, 128)

    def begin(self, source: Tensor, length: int) -> Any:
        """Returns the state before the first token: what each block has computed for the positions
        so far, their number, and the encoded source.
        """
        seen = [smelt.zeros(len(source), length, WIDTH) for _ in range(LAYERS)]
        return seen, smelt.zeros(len(source)).long(), *self.encode(source)

    def step(self, token: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Returns logits (n, tokens) of the token after a token (n,), and the next state: the
        decoder at one position, without dropout; what it has computed for the other positions is
        kept.
        """
        seen, place, memory, padding = state
        places, place = smelt.arange(seen[0].shape[1]), place.unsqueeze(1)
        here, later = (places == place).unsqueeze(2), places > place  # (n, t, 1), (n, t)
        wave = (here * F.sinusoidal_encoding(len(places), WIDTH)).sum(1)
        x = (self.embedding(token) * WIDTH**0.5 + wave).unsqueeze(1)  # (n, 1, 128)
        decoder: Any = self.blocks.decoder
        kept = []
        for block, past in zip(decoder.layers, seen, strict=True):
            y = block.norm1(x)
            kept.append(smelt.where(here, y, past))  # (n, t, 128)
            x = x + block.self_attn(y, kept[-1], kept[-1], later, need_weights=False)[0]
            y = block.norm2(x)
            x = x + block.multihead_attn(y, memory, memory, padding, need_weights=False)[0]
            x = x + block.linear2(F.relu(block.linear1(block.norm3(x))))
        last = decoder.norm(x.squeeze(1))  # (n, 128)
        return F.linear(last, self.embedding.weight), (kept, place.squeeze(1) + 1, memory, padding)


class Recurrent(nn.Module):
    """One LSTM reads the source in both directions, another writes; at each position it attends to
    the encoded source (Luong et al. 2015), and both together predict the next token.
    """

    def __init__(self, tokens: int) -> None:
        self.embedding = nn.Embedding(tokens, WIDTH, padding_idx=PADDING)
        self.encoder = nn.LSTM(WIDTH, WIDTH, batch_first=True, bidirectional=True)
        self.decoder = nn.LSTM(WIDTH, 2 * WIDTH, batch_first=True)
        self.query = nn.Linear(2 * WIDTH, 2 * WIDTH, bias=False)
        self.combine = nn.Linear(4 * WIDTH, WIDTH)
        self.dropout = nn.Dropout(DROPOUT)
        nn.init.normal_(self.embedding.weight, std=WIDTH**-0.5)

    def embed(self, tokens: Tensor) -> Tensor:  # (n, t)
        return self.dropout(self.embedding(tokens) * WIDTH**0.5)  # (n, t, 128)

    def forward(self, source: Tensor, previous: Tensor) -> Tensor:  # (n, s), (n, t)
        h, c, memory, padding = self.begin(source)
        y, _ = self.decoder(self.embed(previous), (h.transpose(0, 1), c.transpose(0, 1)))
        return self.head(y, memory, padding)  # (n, t, tokens)

    def head(self, y: Tensor, memory: Tensor, padding: Tensor) -> Tensor:  # y (n, t, 256)
        scores = self.query(y) @ memory.transpose(1, 2)  # (n, t, s)
        weights = F.softmax(scores.masked_fill(padding.unsqueeze(1), -np.inf), -1)
        both = smelt.cat([weights @ memory, y], -1)  # (n, t, 512)
        return F.linear(self.dropout(self.combine(both).tanh()), self.embedding.weight)

    def begin(self, source: Tensor, length: int = 0) -> Any:
        """Returns the state before the first token: the LSTM's h and c, and the memory."""
        padding = source == PADDING
        memory, (h, c) = self.encoder(self.embed(source), None, (~padding).sum(1))
        h, c = (x.transpose(0, 1).reshape(-1, 1, 2 * WIDTH) for x in (h, c))  # (n, 1, 256)
        return h, c, self.dropout(memory), padding

    def step(self, token: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Returns logits (n, tokens) of the token after a token (n,), and the next state."""
        h, c, memory, padding = state
        before = h.transpose(0, 1), c.transpose(0, 1)
        y, (h, c) = self.decoder.step(self.embed(token), before)  # (n, 256)
        logits = self.head(y.unsqueeze(1), memory, padding).squeeze(1)
        return logits, (h.transpose(0, 1), c.transpose(0, 1), memory, padding)


MODELS: dict[str, type[Transformer | Recurrent]] = {"transformer": Transformer, "lstm": Recurrent}


def make_model(model: str, tokenizer: Tokenizer) -> Transformer | Recurrent:
    """Returns the network with initial weights: (n, s) and (n, t) tokens to (n, t, tokens)
    logits.
    """
    return MODELS[model](len(tokenizer))


def loss_of(logits: Tensor, following: Tensor) -> Tensor:
    """Returns the mean cross-entropy of the next tokens, (n, t), without padding."""
    return F.cross_entropy(
        logits.flatten(0, 1), following.flatten(), ignore_index=PADDING, label_smoothing=SMOOTHING
    )


def learn_pieces(texts: Sequence[str]) -> Tokenizer:
    """Returns a tokenizer trained on texts, by byte-pair encoding."""
    try:
        import tokenizers
    except ImportError:
        raise MissingExtra("the recipe translate", "text") from None
    pieces = tokenizers.Tokenizer(tokenizers.models.BPE())
    pieces.normalizer = tokenizers.normalizers.NFC()
    pieces.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel()
    pieces.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=PIECES,
        special_tokens=list(SPECIALS),
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    pieces.train_from_iterator(texts, trainer)
    return Tokenizer(pieces)


def loader_of(pairs: Sequence[Pair], tokenizer: Tokenizer, batches: Any) -> DataLoader:
    """Returns batches: the network's inputs, (n, s) and (n, t), and its targets, (n, t)."""

    def collate(pairs: Sequence[Pair]) -> tuple[tuple[Tensor, Tensor], Tensor]:
        length = rounded(max(len(side) for pair in pairs for side in pair), GRID)
        source, target = (tokenizer.batch([pair[n] for pair in pairs], length)[0] for n in (0, 1))
        return (source, nn.shift_right(target, BEGIN)), target

    return DataLoader(pairs, collate_fn=collate, batch_sampler=batches)


def rounded(length: int, to: int) -> int:
    """Returns the next multiple: batches have few shapes, since a step is compiled for each."""
    return to * -(-length // to)


def lengths_of(pairs: Sequence[Sequence[list[int]]]) -> np.ndarray:
    """Returns the length of the longer sentence of each pair."""
    return np.array([max(map(len, pair)) for pair in pairs])


def in_order(lengths: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Returns the indices of pairs in batches of similar length, the short ones first."""
    order = np.argsort(lengths, kind="stable")
    return np.split(order, range(batch_size, len(order), batch_size))


def run(
    folder: str | os.PathLike[str],
    *,
    model: Literal["transformer", "lstm"] = "transformer",
    epochs: Epochs = 10,
    lr: Rate | None = None,
    batch_size: BatchSize = 64,
    beam_width: Annotated[int, Within(1, 32)] = 5,
    samples: Annotated[int, Within(1)] | None = None,
    data: DataFolder = None,
    seed: Seed = 0,
    callbacks: Sequence[train.Callback] = (),
    resume: bool = False,
) -> Result:
    """Trains on pairs of captions, translates those of the test, and keeps everything in a folder.

    Args:
        folder: a new folder for weights, metrics, settings, the checkpoint, figures, the tokenizer
            and the translations.
        model: the network.
        epochs: passes over the training pairs.
        lr: the highest learning rate; it rises over a tenth of the steps, then falls to 0. When
            None, 0.004 for the Transformer and 0.002 for the LSTM, whose validation perplexity is
            better than with 0.004.
        batch_size: pairs per step.
        beam_width: how many sentences the beam search keeps.
        samples: how many training pairs to use, and test sentences to translate; all when None.
        data: the folder of the data sets.
        seed: random seed of the initial weights, the order of the pairs and dropout.
        callbacks: further callbacks, called after each epoch.
        resume: whether to resume the run in the folder; the settings must be those of the run.

    Raises:
        FileError: the folder cannot be written, or holds a run already; or there are no data.
        ArgumentError: a setting is out of its range, or there is no such model.
        MissingExtra: matplotlib, safetensors, tokenizers or sacrebleu is not installed.
    """
    plot.require()
    bleu = train.BLEU()
    if model not in MODELS:
        raise ArgumentError(f"translate: model={model!r} must be one of {', '.join(MODELS)}")
    lr = RATES[model] if lr is None else lr
    english, french = (texts[:samples] for texts in load_multi30k("train", data))
    if batch_size > len(english):
        raise ArgumentError(
            f"translate: batch_size={batch_size} is more than the {len(english)} pairs of sentences"
        )
    tokenizer = learn_pieces([*english, *french])
    training = encoded(tokenizer, english, french)
    validation = encoded(tokenizer, *load_multi30k("val", data))
    smelt.manual_seed(seed)
    network = make_model(model, tokenizer)
    optimizer = optim.Adam(network.parameters(), lr=lr, betas=(0.9, 0.98))
    order = LengthBatchSampler(lengths_of(training), batch_size, drop_last=True)
    schedule = optim.lr_scheduler.OneCycleLR(
        optimizer, lr, total_steps=epochs * len(order), pct_start=0.1, cycle_momentum=False
    )
    settings = {
        "recipe": "translate", "model": model, "epochs": epochs, "lr": lr, "batch_size": batch_size,
        "beam_width": beam_width, "samples": samples, "seed": seed,
    }  # fmt: skip
    run_folder = train.RunFolder(folder, network, settings, resume=resume)
    history = train.fit(
        network,
        loss_of,
        optimizer,
        loader_of(training, tokenizer, order),
        epochs=epochs,
        validation=loader_of(validation, tokenizer, in_order(lengths_of(validation), VALIDATED)),
        metrics={"perplexity": train.Perplexity(ignore_index=PADDING)},
        scheduler=schedule,
        max_grad_norm=1.0,
        callbacks=callbacks,
        run=run_folder,
        resume=resume,
        progress=False,
    )
    figures: dict[str, float | str] = {}
    if history.epochs and not history.interrupted:
        write_bytes(run_folder.path / PIECES_FILE, tokenizer.tokenizer.to_str().encode())
        draw(run_folder.path, history)
        sources, references = (texts[:samples] for texts in load_multi30k("test", data))
        said = translate(network, tokenizer, sources, beam_width)
        write_bytes(run_folder.path / TRANSLATIONS, "".join(f"{text}\n" for text in said).encode())
        figures = {
            "validation_perplexity": history.epochs[-1].held_out["perplexity"],
            "test_bleu": bleu.score(said, references),
            "signature": bleu.signature,
            "examples": "\n".join(
                f"{source}\n  {text}" for source, text in zip(sources[:4], said, strict=False)
            ),
        }
    return Result(figures, history, run_folder.training.update.steps)


def encoded(tokenizer: Tokenizer, english: Sequence[str], french: Sequence[str]) -> list[Pair]:
    """Returns the tokens of each English sentence and of its translation, which ends with STOP."""
    return [
        (tokenizer.encode(source), [*tokenizer.encode(target), STOP])
        for source, target in zip(english, french, strict=True)
    ]


def translate(
    model: Transformer | Recurrent, tokenizer: Tokenizer, texts: Sequence[str], beam_width: int = 5
) -> list[str]:
    """Returns a network's translations of texts.

    Of the sentences in the beam, the one with the highest mean log-probability per token is
    returned: longer ones are not at a disadvantage.

    Args:
        model: of `make_model`.
        tokenizer: the one used in training.
        texts: in English.
        beam_width: how many sentences are kept at each position.
    """
    rows = [tokenizer.encode(text) for text in texts]
    said: list[str] = [""] * len(rows)

    @smelt.compile
    def look(source: Tensor) -> Tensor:  # (n, s)
        length = source.shape[1] + LONGER
        start = smelt.full((len(source),), BEGIN)
        state = model.begin(source, length)
        tokens, scores = nn.beam_decode(model.step, state, start, STOP, length, beam_width)
        lengths = (tokens != STOP).sum(-1) + 1  # (n, beams)
        best = (scores / lengths).argmax(-1)  # (n)
        return tokens[smelt.arange(len(source)), best]  # (n, length)

    model.eval()
    for batch in in_order(np.array([len(row) for row in rows]), SAID):
        chosen = [rows[number] for number in batch]
        source, _ = tokenizer.batch(chosen, rounded(max(map(len, chosen)), COARSE))
        for number, tokens in zip(batch, look(source).tolist(), strict=True):
            said[number] = tokenizer.decode(tokens[: [*tokens, STOP].index(STOP)]).strip()
    return said


def draw(folder: Path, history: train.History) -> None:
    """Draws the loss on training and validation pairs."""
    plot.save(plot.curves([epoch.row() for epoch in history.epochs]), folder / "curves.png")
