"""Draws the picture of the README: a training on the digits, and what the network says of new ones.

python script/readme_picture.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np

import smelt
import smelt.nn.functional as F
from smelt import nn, optim, plot, train
from smelt.data import load_digits

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "digits.png"
SHOWN = 12


def main() -> None:
    """Trains, draws both figures, and writes them one above the other."""
    smelt.manual_seed(0)
    test, truth = load_digits("test")
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    history = train.fit(
        model, F.cross_entropy, optim.Adam(model.parameters(), lr=1e-3), load_digits("train"),
        epochs=20, validation=(test, truth), metrics=["accuracy"], progress=False,
    )  # fmt: skip
    predicted = train.predict(model, test[:SHOWN]).argmax(1).tolist()
    figures = (
        plot.curves([epoch.row() for epoch in history.epochs]),
        plot.images(test[:SHOWN], titles=[str(digit) for digit in predicted], columns=SHOWN),
    )
    folder = PICTURE.parent
    folder.mkdir(exist_ok=True)
    pictures = []
    for number, figure in enumerate(figures):
        path = folder / f"{number}.png"
        plot.save(figure, path)
        pictures.append(matplotlib.image.imread(path)[..., :3])
        path.unlink()
    width = max(picture.shape[1] for picture in pictures)
    rows = []
    for picture in pictures:
        free = width - picture.shape[1]
        sides = (free // 2, free - free // 2)
        rows.append(np.pad(picture, ((0, 0), sides, (0, 0)), constant_values=1.0))
    matplotlib.image.imsave(PICTURE, np.concatenate(rows))


if __name__ == "__main__":
    main()
