"""A web page on which one draws digits: a network reads them, and learns from them."""

from __future__ import annotations

import base64
import copy
from typing import Any

import numpy as np

import smelt.nn.functional as F
from smelt import nn, optim
from smelt.data import load_digits
from smelt.errors import ArgumentError
from smelt.export.traced_step import traced_step
from smelt.export.wasm.modules import wasm_step
from smelt.export.wasm.texts import description, step_class
from smelt.pages import markup, render, require
from smelt.tensor import Tensor
from smelt.train import accuracy, predict

__all__ = ["drawing_page"]

CLASSES, SIZE = 10, 8
BATCH_SIZE = 16  # drawings of one training step
EACH = 3  # examples of each digit
GRAYS = 16  # of a pixel, besides none


def drawing_page(model: nn.Module, lr: float = 1e-3) -> str:
    """Returns a web page on which one draws digits that a model reads and learns.

    The page is one file that needs no server and no network. It holds the model's inference and
    its training step, by Adam on 16 drawings, as WebAssembly (`smelt.export.to_wasm`), for engines
    with SIMD and without. Drawings are scaled as the bundled digits are.

    Args:
        model: a module that was trained on the bundled digits: float32 images (n, 8, 8) to logits
            (n, 10). It does not change.
        lr: learning rate of the training in the page.

    Returns:
        The page, as HTML.

    Raises:
        ArgumentError: the model does not give ten numbers for an image.
        CompileError: LLVM has no code for something in the model.
        MissingExtra: jinja2 is not installed.

    Example:
        >>> from smelt import nn
        >>> from smelt.recipes import drawing_page
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        >>> page = drawing_page(model)
        >>> "Draw a digit" in page
        True
    """
    require(figures=False)
    network = copy.deepcopy(model)  # its modes change, and nobody else's
    images, labels = load_digits("test")
    found = predict(network, images)
    if found.shape != (len(images), CLASSES):
        raise ArgumentError(
            f"drawing_page: for images {tuple(images.shape)} the model gives {tuple(found.shape)}; "
            f"it must give logits {(len(images), CLASSES)}"
        )
    return render(
        "draw.html",
        title="Draw a digit",
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        accuracy=accuracy(found, labels).item(),
        batch_size=BATCH_SIZE,
        step_class=markup(step_class()),
        data=_steps(network, lr) | _digits(images.numpy(), labels.numpy()),
    )


def _steps(network: nn.Module, lr: float) -> dict[str, Any]:
    """Returns the modules of both steps, which hold no tensors, and the tensors."""
    optimizer = optim.Adam(network.parameters(), lr=lr)

    def read(image: Tensor) -> Tensor:
        return F.softmax(network(image), dim=1)

    def train(images: Tensor, labels: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
        return loss

    one = np.zeros((1, SIZE, SIZE), np.float32)
    several = np.zeros((BATCH_SIZE, SIZE, SIZE), np.float32), np.zeros(BATCH_SIZE, np.int64)
    network.eval()
    reading = wasm_step(traced_step("drawing_page", read, (one,)), "read", has_initial=False)
    network.train()
    training = wasm_step(traced_step("drawing_page", train, several), "train", has_initial=False)
    tensors = {
        tensor.name: {"dtype": tensor.dtype.name, "content": _text(content)}
        for step in (reading, training)
        for tensor, content in zip(step.tensors, step.initial, strict=True)
        if any(content)
    }
    both = {
        name: {
            "about": description(step),
            "simd": _text(step.simd),
            "scalar": _text(step.scalar),
        }
        for name, step in (("predict", reading), ("train", training))
    }
    return {**both, "tensors": tensors, "batch": BATCH_SIZE}


def _digits(images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Returns some of the digits, and the ink of each on average: the sum of its pixels."""
    some = [place for digit in range(CLASSES) for place in np.flatnonzero(labels == digit)[:EACH]]
    examples = [_text(np.rint(images[place] * GRAYS).astype(np.uint8).tobytes()) for place in some]
    return {"examples": examples, "ink": round(float(images.sum((1, 2)).mean()), 2)}


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
