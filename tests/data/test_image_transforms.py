"""Images changed a batch at a time: the same numbers eagerly and compiled, and the right ones."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import smelt
from smelt.data import transforms as t
from smelt.data.image_sampling import resized
from smelt.errors import ArgumentError, DTypeError, MissingName, ShapeError
from smelt.random import Generator
from smelt.tensor import Tensor

X = smelt.rand(6, 3, 7, 10, generator=Generator(1))

RANDOM: dict[str, Callable[[], Any]] = {
    "crop": lambda: t.RandomCrop(5),
    "padded crop": lambda: t.RandomCrop((7, 9), padding=(2, 1), fill=0.5),
    "mirrored crop": lambda: t.RandomCrop(7, padding=2, padding_mode="reflect"),
    "horizontal flip": lambda: t.RandomHorizontalFlip(),
    "vertical flip": lambda: t.RandomVerticalFlip(0.3),
    "rotation": lambda: t.RandomRotation(30),
    "smooth rotation": lambda: t.RandomRotation((10, 90), interpolation="bilinear", fill=1.0),
    "resized crop": lambda: t.RandomResizedCrop(6),
    "nearest resized crop": lambda: t.RandomResizedCrop((4, 12), interpolation="nearest"),
    "color": lambda: t.ColorJitter(0.4, 0.4, (0.5, 2.0)),
    "all": lambda: t.Compose([t.RandomCrop(6, 1), t.RandomHorizontalFlip(), t.ColorJitter(0.1)]),
}
FIXED: dict[str, Callable[[], Any]] = {
    "normalize": lambda: t.Normalize([0.1, 0.2, 0.3], [0.5, 1, 2]),
    "resize": lambda: t.Resize((5, 13)),
    "short side": lambda: t.Resize(4),
    "nearest": lambda: t.Resize((3, 20), interpolation="nearest"),
    "center": lambda: t.CenterCrop((4, 5)),
    "larger center": lambda: t.CenterCrop(9),
}


@pytest.mark.parametrize("kind", [*RANDOM, *FIXED])
def test_compiled_images_are_the_eager_ones(kind: str) -> None:
    transform = {**RANDOM, **FIXED}[kind]()
    first, second = Generator(3), Generator(3)
    compiled = smelt.compile(lambda x: transform(x, second))
    for _ in range(2):
        eager = transform(X, first)
        assert compiled(X).numpy() == pytest.approx(eager.numpy(), abs=1e-5)
    assert compiled.traces == 1


@pytest.mark.parametrize("kind", RANDOM)
def test_each_image_has_its_own_random_numbers(kind: str) -> None:
    same = X[:1].expand(40, 3, 7, 10)
    changed = RANDOM[kind]()(same, Generator(0)).numpy()
    assert len({image.tobytes() for image in changed}) > 1
    again = RANDOM[kind]()(same, Generator(0)).numpy()
    assert again.tobytes() == changed.tobytes()
    one = RANDOM[kind]()(X[0], Generator(0))
    assert one.shape == changed.shape[1:]


def test_flips_and_crops() -> None:
    x = X.numpy()
    assert t.RandomHorizontalFlip(1)(X).numpy().tobytes() == x[..., ::-1].tobytes()
    assert t.RandomVerticalFlip(1)(X).numpy().tobytes() == x[:, :, ::-1].tobytes()
    assert t.RandomHorizontalFlip(0)(X).numpy().tobytes() == x.tobytes()
    flipped = t.RandomHorizontalFlip(0.25)(smelt.rand(2000, 1, 1, 2), Generator(0))
    assert flipped.shape == (2000, 1, 1, 2)
    assert t.CenterCrop((4, 5))(X).numpy().tobytes() == x[:, :, 2:6, 2:7].tobytes()
    larger = t.CenterCrop((9, 10))(X).numpy()
    assert larger[:, :, 1:8].tobytes() == x.tobytes()
    assert larger.sum() == pytest.approx(x.sum())
    places = set()
    for image in t.RandomCrop((6, 8))(X[:1].expand(300, 3, 7, 10), Generator(0)).numpy():
        found = [
            (i, j)
            for i in range(2)
            for j in range(3)
            if (x[0, :, i : i + 6, j : j + 8] == image).all()
        ]
        places.update(found)
        assert len(found) == 1
    assert len(places) == 6


def test_sizes_that_change_serve_the_crop() -> None:
    crop = smelt.compile(lambda x: t.RandomCrop(3)(x), dynamic=True)
    for height in (3, 4, 9):
        assert crop(smelt.rand(2, 1, height, 5)).shape == (2, 1, 3, 3)


def test_quarter_turns() -> None:
    square = X[:, :, :7, :7]
    x = square.numpy()
    for interpolation in ("nearest", "bilinear"):
        for quarter in (0, 1, 2, 3):
            angle = 90.0 * quarter
            rotated = t.RandomRotation((angle, angle), interpolation)(square)
            assert rotated.numpy() == pytest.approx(np.rot90(x, quarter, (2, 3)), abs=1e-5)


def test_a_constant_image_stays_constant() -> None:
    ones = smelt.ones(2, 3, 9, 7)
    for transform in (t.Resize((3, 11)), t.Resize((30, 2)), t.RandomResizedCrop(5)):
        assert transform(ones).numpy() == pytest.approx(1, abs=1e-5)


def test_resizing_is_pillows() -> None:
    image = pytest.importorskip("PIL.Image")
    picture = X[0, 0].numpy()
    for size in [(4, 5), (14, 20), (7, 3), (21, 10)]:
        expected = np.asarray(image.fromarray(picture).resize(size[::-1], image.BILINEAR))
        assert t.Resize(size)(X[0]).numpy()[0] == pytest.approx(expected, abs=1e-5)
    nearest = np.asarray(image.fromarray(picture).resize((13, 4), image.NEAREST))
    assert t.Resize((4, 13), "nearest")(X[0]).numpy()[0].tolist() == nearest.tolist()
    box = (2, 1, 8, 6)  # left, top, right, bottom
    part = image.fromarray(picture).crop(box)
    expected = np.asarray(part.resize((4, 3), image.BILINEAR))
    assert resized(X, (3, 4), (1, 2, 5, 6)).numpy()[0, 0] == pytest.approx(expected, abs=1e-5)


def test_colors() -> None:
    gray = (X * smelt.tensor([0.299, 0.587, 0.114]).reshape(1, 3, 1, 1)).sum(1, keepdim=True)
    twice = t.ColorJitter(brightness=(2, 2))(X)
    assert twice.numpy() == pytest.approx((X * 2).clamp(0, 1).numpy(), abs=1e-6)
    none = t.ColorJitter(saturation=(0, 0))(X)
    assert none.numpy() == pytest.approx(gray.expand(6, 3, 7, 10).numpy(), abs=1e-6)
    flat = t.ColorJitter(contrast=(0, 0))(X)
    mean = gray.mean((1, 2, 3), keepdim=True).expand(6, 3, 7, 10)
    assert flat.numpy() == pytest.approx(mean.numpy(), abs=1e-6)
    assert t.ColorJitter()(X).tolist() == X.tolist()
    assert t.ColorJitter(0.5, 0.5)(X[:, :1]).shape == (6, 1, 7, 10)


def test_pictures_become_tensors() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert t.ToTensor()(pixels).numpy()[1, 0, 2] == np.float32(7) / np.float32(255)
    assert t.ToTensor()(pixels[..., 0]).shape == (1, 2, 4)
    assert t.ToTensor()(pixels.astype(np.float64)).dtype is smelt.float32
    image = pytest.importorskip("PIL.Image")
    both = t.Compose([t.ToTensor(), t.Resize((1, 1)), lambda x: x.flatten()])
    assert both(image.fromarray(pixels)).shape == (3,)
    ints = smelt.ones(1, 3, 3, dtype=smelt.int32)
    assert t.Resize(2)(ints).dtype is smelt.float32


@pytest.mark.parametrize("kind", [*RANDOM, *FIXED])
def test_derivatives_are_those_of_a_compiled_step(kind: str) -> None:
    transform, x = {**RANDOM, **FIXED}[kind](), X.double()

    def squared(x: Tensor) -> Tensor:
        return (transform(x, Generator(5)) ** 3).sum()

    once, twice = smelt.grad(squared), smelt.grad(lambda x: (smelt.grad(squared)(x) ** 2).sum())
    for of in (once, twice) if kind in ("resized crop", "smooth rotation", "color") else (once,):
        assert of(x).numpy() == pytest.approx(smelt.compile(of)(x).numpy(), abs=1e-5)
    tangent = smelt.jvp(squared, (x,), (x,))[1]
    assert tangent.item() == pytest.approx((smelt.grad(squared)(x) * x).sum().item(), rel=1e-6)


@pytest.mark.parametrize("dtype", [smelt.float64, smelt.float16, smelt.bfloat16])
@pytest.mark.parametrize("kind", [*RANDOM, *FIXED])
def test_other_floats_stay(kind: str, dtype: smelt.DType) -> None:
    transform = {**RANDOM, **FIXED}[kind]()
    changed = transform(X.to(dtype), Generator(3))
    assert changed.dtype is dtype
    expected = transform(X.to(dtype).float(), Generator(3)).numpy()
    assert changed.float().numpy() == pytest.approx(expected, abs=0.05)


def test_large_pictures_are_resized_as_pillow_does() -> None:
    image = pytest.importorskip("PIL.Image")
    picture = np.random.default_rng(0).random((700, 1100), np.float32)
    for size in [(50, 40), (33, 1500), (900, 100), (1, 1)]:
        expected = np.asarray(image.fromarray(picture).resize(size[::-1], image.BILINEAR))
        both = smelt.as_tensor(np.stack([picture, picture])[:, None])
        resized_both = t.Resize(size)(both).numpy()
        assert resized_both[0, 0] == pytest.approx(expected, abs=5e-5)
        assert resized_both[1].tobytes() == resized_both[0].tobytes()
        assert t.Resize(size)(both[0]).numpy().tobytes() == resized_both[0].tobytes()


def test_elements_beyond_what_float32_counts_are_found() -> None:
    wide = smelt.as_tensor(np.arange(2**24 + 8, dtype=np.int32).reshape(1, 1, 2, -1)).double()
    for turn in (t.RandomRotation((0, 0)), smelt.compile(t.RandomRotation((0, 0)))):
        assert (turn(wide).numpy() == wide.numpy()).all()


def test_a_tensor_is_one_already() -> None:
    assert t.ToTensor()(X[0]).tolist() == X[0].tolist()
    assert t.Compose([t.ToTensor(), t.Resize(4)])(X[0]).shape == (3, 4, 5)


@pytest.mark.parametrize("name", ["Grayscale", "Lambda", "v2", "RandomResizedCrops"])
def test_names_of_torchvision_say_what_to_write(name: str) -> None:
    with pytest.raises(MissingName, match=f"no attribute '{name}'(: |; did you mean)"):
        getattr(t, name)


def test_gradients_pass() -> None:
    transform = t.Compose([t.RandomRotation(20, "bilinear"), t.RandomResizedCrop(4)])
    g = smelt.grad(lambda x: transform(x, Generator(0)).sum())(X)
    assert np.isfinite(g.numpy()).all()
    assert (g.numpy() != 0).any()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: t.RandomCrop(0), ArgumentError, "size=0"),
        (lambda: t.Resize((1, 2, 3)), ArgumentError, "size="),
        (lambda: t.Resize(2.5), ArgumentError, "size=2.5; give"),
        (lambda: t.Normalize([0] * 3, [1] * 3)(X[0].permute(1, 2, 0)), ShapeError, "stand before"),
        (lambda: t.Resize(2, "cubic"), ArgumentError, "interpolation='cubic'"),
        (lambda: t.RandomHorizontalFlip(2), ArgumentError, "p=2"),
        (lambda: t.RandomCrop(2, padding=-1), ArgumentError, "padding=-1"),
        (lambda: t.RandomRotation((3, 1)), ArgumentError, "degrees"),
        (lambda: t.RandomResizedCrop(2, scale=(0, 1)), ArgumentError, "above 0"),
        (lambda: t.ColorJitter((-1, 1)), ArgumentError, "must not be negative"),
        (lambda: t.Normalize([0], [0]), ArgumentError, "must not be 0"),
        (lambda: t.RandomCrop(9)(X), ShapeError, r"\(9, 9\) is larger than the images \(7, 10\)"),
        (lambda: t.Normalize([0, 0], [1, 1])(X), ShapeError, "of 3 channels"),
        (lambda: t.ColorJitter(0, 1)(X[:, :2]), ShapeError, "1 or 3 channels"),
        (lambda: t.Resize(2)(X[0, 0]), ShapeError, "must be"),
        (lambda: t.Resize(2)(X.numpy()), DTypeError, "ToTensor"),
        (lambda: t.ToTensor()(["a"]), DTypeError, "holds no numbers"),
        (lambda: t.ToTensor()(np.zeros(3)), ShapeError, "must be"),
    ],
)
def test_what_makes_no_sense_is_refused(
    make: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make()


def test_transforms_need_no_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert isinstance(t.Resize(3)(X), Tensor)
