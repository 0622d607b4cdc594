"""Tiny Shakespeare: a small GPT learns to write plays, character by character.

A Transformer (4 blocks, 128 wide, 4 heads, 64 characters at a time) learns from the first 90 % of
a million characters which character comes next. The last 10 % are held out: the loss is measured on
all of them, cut into pieces of 64. The settings are those of nanoGPT for a CPU, except for a higher
learning rate that falls to 0; there is no other text to test on. At the end the network writes a
text.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np

import smelt
import smelt.nn.functional as F
from smelt import nn, optim, plot, train
from smelt.atomic import write_bytes
from smelt.data import Vocabulary, load_tiny_shakespeare
from smelt.dtypes import float32, int32
from smelt.export.inference import Inference, InferenceTensor
from smelt.limits import Within
from smelt.recipes.inference import Probabilities
from smelt.recipes.recipe import (
    BatchSize,
    DataFolder,
    Rate,
    Result,
    Seed,
    Steps,
    keep_preprocessing,
    kept_preprocessing,
)
from smelt.tensor import Tensor

__all__ = ["GPT", "inference", "make_model", "run", "write"]

LENGTH, WIDTH, BLOCKS, HEADS = 64, 128, 4, 4
HELD_OUT = 0.1  # the share of the text, at its end
EVERY = 250  # steps from one validation to the next
WRITTEN = 1000  # characters of the text that is written at the end
TEXT = "sample.txt"


class GPT(nn.Module):
    """Predicts the next character at every position of a text."""

    def __init__(self, characters: int) -> None:
        layer = nn.TransformerEncoderLayer(
            WIDTH, HEADS, 4 * WIDTH, dropout=0.0, activation="gelu", batch_first=True,
            norm_first=True,
        )  # fmt: skip
        self.embedding = nn.Embedding(characters, WIDTH)
        self.positions = nn.LearnedPositions(LENGTH, WIDTH, batch_first=True)
        self.blocks = nn.TransformerEncoder(layer, BLOCKS, nn.LayerNorm(WIDTH))
        self.head = nn.Linear(WIDTH, characters)
        nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(self, text: Tensor) -> Tensor:  # (n, t) numbers of characters
        x = self.positions(self.embedding(text))  # (n, t, 128)
        return self.head(self.blocks(x, is_causal=True))  # (n, t, characters)


def make_model(vocabulary: Vocabulary) -> GPT:
    """Returns the network with initial weights: (n, t) characters to (n, t, characters) logits."""
    return GPT(len(vocabulary))


def loss_of(logits: Tensor, following: Tensor) -> Tensor:
    """Returns the mean cross-entropy of the next characters, (n, t)."""
    return F.cross_entropy(logits.flatten(0, 1), following.flatten())


def pairs(numbers: np.ndarray, stride: int) -> tuple[Tensor, Tensor]:
    """Returns pieces (n, 64) of a text, one from every `stride`th position on, and the next
    character at each position. The pieces are views: none is copied.
    """
    every = np.lib.stride_tricks.sliding_window_view(numbers, LENGTH + 1)[::stride]
    pieces = smelt.from_numpy(every)
    return pieces[:, :-1], pieces[:, 1:]


def run(
    folder: str | os.PathLike[str],
    *,
    steps: Steps = 2000,
    lr: Rate = 3e-3,
    batch_size: BatchSize = 12,
    temperature: Annotated[float, Within(0.01, 10)] = 0.8,
    data: DataFolder = None,
    seed: Seed = 0,
    callbacks: Sequence[train.Callback] = (),
    resume: bool = False,
) -> Result:
    """Trains on pieces of the text, measures the loss on its end, and writes a text.

    Args:
        folder: a new folder for weights, metrics, settings, the checkpoint, figures and the text.
        steps: how many steps; the loss on the held-out text is measured after every 250.
        lr: the highest learning rate; it rises over a tenth of the steps, then falls to 0.
        batch_size: pieces of 64 characters per step.
        temperature: of the text that is written: below 1, unlikely characters are rarer.
        data: the folder of the data sets.
        seed: random seed of the initial weights, the pieces and the text that is written.
        callbacks: further callbacks, called after each epoch.
        resume: whether to resume the run in the folder; the settings must be those of the run.

    Raises:
        FileError: the folder cannot be written, or holds a run already; or there are no data.
        ArgumentError: a setting is out of its range.
        MissingExtra: matplotlib or safetensors is not installed.
    """
    plot.require()
    text = load_tiny_shakespeare(data)
    vocabulary = Vocabulary.characters([text])
    numbers = np.array(vocabulary.encode(text))  # (characters,)
    end = round((1 - HELD_OUT) * len(numbers))
    training, held_out = pairs(numbers[:end], 1), pairs(numbers[end:], LENGTH)
    smelt.manual_seed(seed)
    model = make_model(vocabulary)
    optimizer = optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.99), weight_decay=0.1)
    schedule = optim.lr_scheduler.OneCycleLR(
        optimizer, lr, total_steps=steps, pct_start=0.1, cycle_momentum=False
    )
    settings = {
        "recipe": "shakespeare", "steps": steps, "lr": lr, "batch_size": batch_size,
        "temperature": temperature, "seed": seed,
    }  # fmt: skip
    characters = [vocabulary.decode([number]) for number in range(len(vocabulary))]
    run_folder = train.RunFolder(folder, model, settings, resume=resume, classes=characters)
    history = train.fit(
        model,
        loss_of,
        optimizer,
        training,
        steps=steps,
        steps_per_epoch=min(EVERY, steps),
        batch_size=batch_size,
        validation=held_out,
        scheduler=schedule,
        max_grad_norm=1.0,
        callbacks=callbacks,
        run=run_folder,
        resume=resume,
        progress=False,
    )
    figures: dict[str, float | str] = {}
    if history.epochs and not history.interrupted:
        smelt.manual_seed(seed)
        written = write(model, vocabulary, WRITTEN, temperature)
        write_bytes(run_folder.path / TEXT, written.encode())
        draw(run_folder.path, history)
        keep_preprocessing(run_folder.path, vocabulary.state_dict())
        loss = history.epochs[-1].held_out["loss"]
        figures = {"held_out_loss": loss, "held_out_perplexity": float(np.exp(loss))}
        figures["text"] = written[:300]
    return Result(figures, history, run_folder.training.update.steps)


def write(
    model: GPT, vocabulary: Vocabulary, length: int, temperature: float, start: str = "\n"
) -> str:
    """Returns a text that the network writes, in one native loop over the characters.

    Args:
        model: of `make_model`.
        vocabulary: of the characters.
        length: how many characters.
        temperature: the logits are divided by it: a low temperature prefers likely characters.
        start: the beginning, which the text continues, 1 to 64 characters.
    """
    given = vocabulary.encode(start)[-LENGTH:]
    seen = smelt.tensor([given + [0] * (LENGTH - len(given))])  # (1, 64): known, then unused
    places = smelt.arange(LENGTH)

    def character(carry: tuple[Tensor, Tensor], _: None) -> tuple[tuple[Tensor, Tensor], Tensor]:
        seen, known = carry
        logits = (model(seen) * (places == known - 1).unsqueeze(-1)).sum(1)  # (1, characters)
        chosen = smelt.multinomial(F.softmax(logits / temperature, -1), 1)  # (1, 1)
        is_full = known == LENGTH
        seen = smelt.where(is_full, seen.roll(-1, 1), seen)
        known = smelt.where(is_full, known, known + 1)
        return (smelt.where(places == known - 1, chosen, seen), known), chosen.flatten()

    @smelt.compile
    def loop(seen: Tensor, known: Tensor) -> Tensor:
        return smelt.scan(character, (seen, known), length=length)[1]

    model.eval()
    return vocabulary.decode(loop(seen, smelt.tensor(len(given))).flatten().tolist())


def draw(folder: Path, history: train.History) -> None:
    """Draws the loss on the training text and on the held-out one."""
    plot.save(plot.curves([epoch.row() for epoch in history.epochs]), folder / "curves.png")


def inference(folder: Path, config: Mapping[str, Any]) -> Inference:
    """Returns what the network of a run computes: the probability of each character to be the next
    one, at each position of a text.
    """
    tokens = kept_preprocessing(folder)["tokens"]
    model = GPT(len(tokens))
    train.read_model(folder, model)
    facts = {
        "meaning": f"numbers of the last {LENGTH} characters of a text; of fewer, any number after "
        "them",
        "numbers": {token: number for number, token in enumerate(tokens)},
    }
    given = InferenceTensor("inputs", int32, (LENGTH,), facts)
    following = {"meaning": "of the character after each position", "classes": tokens}
    output = InferenceTensor("probabilities", float32, (LENGTH, len(tokens)), following)
    return Inference(
        "shakespeare", Probabilities(model).eval(), (given,), output, {"task": "classification"}
    )
