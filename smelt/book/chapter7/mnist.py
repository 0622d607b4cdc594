"""P7.1: a small convolutional network reads MNIST's digits."""

from __future__ import annotations

from time import perf_counter

import smelt
import smelt.nn.functional as F
from smelt import data, nn, optim, plot, train
from smelt.book.entry import Page, entry

BATCH, EPOCHS, LR = 64, 3, 3e-3


def make_model() -> nn.Sequential:
    """One convolution, one pooling, one fully connected layer."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3),  # (B, 1, 28, 28) -> (B, 8, 26, 26)
        nn.ReLU(),
        nn.MaxPool2d(2),  # (B, 8, 13, 13)
        nn.Flatten(),  # (B, 1352)
        nn.Linear(8 * 13 * 13, 10),
    )


@entry("P7.1", "A convolutional network on MNIST, three epochs")
def mnist(page: Page) -> None:
    """60,000 handwritten digits to learn from, 10,000 others to be tested on.

    An epoch is one native call: the order is shuffled, batches are gathered, and 938 steps run
    without Python between them.
    """
    images, labels = data.load_mnist("train", page.data)
    test_images, test_labels = data.load_mnist("test", page.data)
    images, test_images = images[:, None], test_images[:, None]  # one channel
    smelt.manual_seed(page.seed)
    model = make_model()
    opt = optim.Adam(model.parameters(), lr=LR)

    @smelt.compile
    def step(x: smelt.Tensor, y: smelt.Tensor) -> smelt.Tensor:
        loss = F.cross_entropy(model(x), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        return loss

    rows, losses = [], []
    for epoch in range(1, EPOCHS + 1):
        start = perf_counter()
        losses += step.over(images, labels, batch_size=BATCH, shuffle=True).tolist()
        taken = perf_counter() - start
        logits = train.predict(model, test_images)
        accuracy = float((logits.argmax(1) == test_labels).float().mean())
        rows.append((epoch, f"{losses[-1]:.4f}", f"{accuracy:.2%}", f"{taken:.1f}"))
    page.table(["epoch", "last batch's loss", "test accuracy", "seconds"], rows)
    page.figure("loss", plot.loss_curves({"training": losses}, smooth=50))
    page.figure("kernels", plot.kernels(model.state_dict()["0.weight"][:, 0]), "the eight kernels")
    confusion = train.confusion_matrix(logits.argmax(1), test_labels, 10)
    page.figure("confusion", plot.confusion(confusion))
    page.claim("test accuracy after 3 epochs", "> 97 %", f"{accuracy:.2%}", accuracy > 0.97)
