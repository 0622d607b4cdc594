"""What `step.explain()` prints for the step that trains the digits network.

python benchmarks/explain.py                          # print it
python benchmarks/explain.py --write docs/explain.md  # put it into the page, between its marks
"""

from __future__ import annotations

import argparse
from pathlib import Path

import smelt
import smelt.nn.functional as F
from smelt import nn, optim
from smelt.data import load_digits

BEGIN, END = "<!-- printed by benchmarks/explain.py -->", "<!-- end -->"


def text() -> str:
    """Trains three epochs and returns the explanation of the step."""
    images, labels = load_digits("train")
    smelt.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)
    )
    optimizer = optim.Adam(model.parameters(), lr=1e-3)

    @smelt.compile
    def step(x: smelt.Tensor, y: smelt.Tensor) -> smelt.Tensor:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    step.over(images.reshape(-1, 64), labels, batch_size=64, shuffle=True, epochs=3, drop_last=True)
    return step.explain()


def main() -> None:
    """Prints the explanation, or writes it into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    printed = text()
    if options.write is None:
        print(printed)
        return
    page = options.write.read_text()
    head, after = page.split(BEGIN)
    options.write.write_text(f"{head}{BEGIN}\n```text\n{printed}\n```\n{END}{after.split(END)[1]}")


if __name__ == "__main__":
    main()
