"""Small texts in the place of the published ones, and what stops a training."""

from __future__ import annotations

import random
from typing import Any

import smelt
from smelt.train import Callback, Epoch, StopTraining

WORDS = {"one": "un", "two": "deux", "red": "rouge", "dogs": "chiens", "cats": "chats"}


class Stop(Callback):
    """Ends a training after its first epoch."""

    def epoch(self, epoch: Epoch) -> None:
        if epoch.number == 1:
            raise StopTraining("for a test")


def captions(split: str = "train", folder: Any = None) -> tuple[list[str], list[str]]:
    """Returns sentences, and each word by word in French."""
    draw = random.Random(split)
    english = [draw.choices(list(WORDS), k=draw.randint(2, 5)) for _ in range(160)]
    french = [[WORDS[word] for word in sentence] for sentence in english]
    return [" ".join(words) for words in english], [" ".join(words) for words in french]


def reviews(split: str = "train", folder: Any = None) -> tuple[list[str], smelt.Tensor]:
    """Returns sentences, and whether the word "good" is in them."""
    draw = random.Random(split)
    labels = [draw.randint(0, 1) for _ in range(96)]
    noise = [" ".join(draw.choices(list(WORDS), k=4)) for _ in labels]
    both = [
        f"{words} {'good' if label else 'bad'} film"
        for words, label in zip(noise, labels, strict=True)
    ]
    return both, smelt.tensor(labels)


def play(folder: Any = None) -> str:
    """Returns a text of 5,700 characters."""
    return "to be, or not to be\n" * 285
