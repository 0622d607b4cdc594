"""Sentiment: is a sentence of a film review praise or blame? Learned from only 6,920 sentences.

A bag of words and of pairs of neighboring words: each has a vector, a sentence is the sum of its
vectors divided by the square root of their number, and a linear layer decides. In training, 60 % of
the words and pairs are replaced by "unknown" at random, so that no single one decides about a
sentence, and half of the features are dropped. On so few sentences (SST-2) convolutions were no
better, and took many times as long. The network, these shares, the learning rate and the number of
epochs were chosen on the 872 sentences of "dev"; the 1,821 test sentences are used only once, at
the end.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np

import smelt
import smelt.nn.functional as F
from smelt import nn, optim, plot, train
from smelt.data import Vocabulary, load_sst2, split_words
from smelt.dtypes import float32, int32
from smelt.export.inference import Inference, InferenceTensor
from smelt.limits import Within
from smelt.recipes.inference import Probabilities
from smelt.recipes.recipe import (
    BatchSize,
    DataFolder,
    Epochs,
    Rate,
    Result,
    Seed,
    keep_preprocessing,
    kept_preprocessing,
)
from smelt.tensor import Tensor

__all__ = ["Bag", "classify", "inference", "make_model", "run"]

WIDTH, DROPOUT, FORGOTTEN = 64, 0.5, 0.6
OFTEN = 2  # times that a word or pair occurs in the training sentences; others are unknown
PADDING, UNKNOWN = 0, 1  # the first numbers of every vocabulary
CLASSES = ["blame", "praise"]
LENGTH = 128  # words and pairs that an exported network takes


class Bag(nn.Module):
    """The sum of the vectors of words and pairs, divided by the root of their number; then two
    logits.
    """

    def __init__(self, words: int) -> None:
        self.embedding = nn.Embedding(words, WIDTH, padding_idx=PADDING)
        self.dropout = nn.Dropout(DROPOUT)
        self.head = nn.Linear(WIDTH, len(CLASSES))
        nn.init.normal_(self.embedding.weight, std=0.1)

    def forward(self, words: Tensor) -> Tensor:  # (n, t) numbers of words and pairs
        if self.training:
            is_forgotten = smelt.rand(words.shape) < FORGOTTEN
            words = smelt.where(is_forgotten, words.clamp(max=UNKNOWN), words)
        real = (words != PADDING).float()  # (n, t)
        total = (self.embedding(words) * real.unsqueeze(2)).sum(1)  # (n, 64)
        return self.head(self.dropout(total / real.sum(1, keepdim=True).sqrt()))  # (n, 2)


def words_and_pairs(sentence: str) -> list[str]:
    """Returns the words of a sentence, and the pairs of neighboring words."""
    words = split_words(sentence)
    return [*words, *map(" ".join, pairwise(words))]


def make_model(vocabulary: Vocabulary) -> Bag:
    """Returns the network with initial weights: (n, t) numbers of words to (n, 2) logits."""
    return Bag(len(vocabulary))


def run(
    folder: str | os.PathLike[str],
    *,
    epochs: Epochs = 12,
    lr: Rate = 2e-3,
    batch_size: BatchSize = 64,
    samples: Annotated[int, Within(1)] | None = None,
    data: DataFolder = None,
    seed: Seed = 0,
    callbacks: Sequence[train.Callback] = (),
    resume: bool = False,
) -> Result:
    """Trains on sentences, validates on those of "dev", and reads those of the test at the end.

    Args:
        folder: a new folder for weights, metrics, settings, the checkpoint and figures.
        epochs: passes over the training sentences.
        lr: learning rate at the start; it falls to 0 along half a cosine.
        batch_size: sentences per step.
        samples: how many training sentences to use; all when None.
        data: the folder of the data sets.
        seed: random seed of the initial weights, the order of the sentences and the words made
            unknown.
        callbacks: further callbacks, called after each epoch.
        resume: whether to resume the run in the folder; the settings must be those of the run.

    Raises:
        FileError: the folder cannot be written, or holds a run already; or there are no data.
        ArgumentError: a setting is out of its range.
        MissingExtra: matplotlib or safetensors is not installed.
    """
    plot.require()
    sentences, labels = load_sst2("train", data)
    sentences, labels = sentences[:samples], labels[:samples]
    vocabulary = Vocabulary.build(sentences, minimum=OFTEN, tokenize=words_and_pairs)
    training = vocabulary.batch(sentences)[0], labels  # (n, t), (n)
    others = {split: load_sst2(split, data) for split in ("dev", "test")}
    dev, test = ((vocabulary.batch(texts)[0], labels) for texts, labels in others.values())
    smelt.manual_seed(seed)
    model = make_model(vocabulary)
    optimizer = optim.Adam(model.parameters(), lr=lr)
    steps = epochs * -(-len(labels) // batch_size)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
    settings = {
        "recipe": "sentiment", "epochs": epochs, "lr": lr, "batch_size": batch_size,
        "samples": samples, "seed": seed,
    }  # fmt: skip
    run_folder = train.RunFolder(folder, model, settings, resume=resume)
    history = train.fit(
        model,
        F.cross_entropy,
        optimizer,
        training,
        epochs=epochs,
        batch_size=batch_size,
        validation=dev,
        metrics={"accuracy": train.Accuracy()},
        scheduler=schedule,
        scheduler_interval="step",
        callbacks=callbacks,
        run=run_folder,
        resume=resume,
        progress=False,
    )
    figures = {}
    if history.epochs and not history.interrupted:
        metrics = {"accuracy": train.Accuracy(), "confusion": train.ConfusionMatrix()}
        found = train.evaluate(model, test, metrics)
        chances = F.softmax(train.predict(model, test), dim=1)
        texts = others["test"][0]
        train.save_predictions(run_folder.path, test[1], chances, classes=CLASSES, texts=texts)
        keep_preprocessing(run_folder.path, vocabulary.state_dict())
        figures["dev_accuracy"] = history.epochs[-1].held_out["accuracy"]
        figures["test_accuracy"] = found["accuracy"]
        draw(run_folder.path, history, found["confusion"])
    return Result(figures, history, run_folder.training.update.steps)


def draw(folder: Path, history: train.History, confusion: np.ndarray) -> None:
    """Draws loss and accuracy on dev sentences, and the confusion matrix on those of the test."""
    plot.save(plot.curves([epoch.row() for epoch in history.epochs]), folder / "curves.png")
    plot.save(plot.confusion(confusion, CLASSES), folder / "confusion.png")


def classify(model: Bag, vocabulary: Vocabulary, sentences: Sequence[str]) -> np.ndarray:
    """Returns the probability of praise for each sentence, as (n,)."""
    words, _ = vocabulary.batch(sentences)
    return F.softmax(train.predict(model, words), dim=1).numpy()[:, 1]


def inference(folder: Path, config: Mapping[str, Any]) -> Inference:
    """Returns what the network of a run computes: the probability of blame and of praise."""
    tokens = kept_preprocessing(folder)["tokens"]
    model = Bag(len(tokens))
    train.read_model(folder, model)
    facts = {
        "meaning": "numbers of the words of a sentence, then of the pairs of neighboring words",
        "words": "the sentence in lower case, split at whitespace; a pair is joined by a blank",
        "padding": PADDING,
        "unknown": UNKNOWN,
        "numbers": {token: number for number, token in enumerate(tokens)},
    }
    given = InferenceTensor("inputs", int32, (LENGTH,), facts)
    output = InferenceTensor("probabilities", float32, (len(CLASSES),), {"classes": CLASSES})
    module = Probabilities(model).eval()
    return Inference("sentiment", module, (given,), output, {"task": "classification"})
