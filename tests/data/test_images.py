"""Pictures from files."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from smelt.data import load_digits, read_digit
from smelt.data.digits import samples
from smelt.errors import FileError, MissingExtra

Image = pytest.importorskip("PIL.Image")


def write(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


@pytest.fixture
def ink() -> np.ndarray:
    """8 x 8 values of 0 to 240 with a dark border, as a digit on a black board has."""
    image = np.zeros((8, 8))
    image[1:-1, 2:-2] = np.arange(24).reshape(6, 4) * 10
    return image


@pytest.mark.parametrize("name", ["x.png", "x.bmp"])
def test_light_on_dark_is_taken_as_it_is(name: str, ink: np.ndarray, tmp_path: Path) -> None:
    found = read_digit(write(tmp_path / name, ink)).numpy()
    np.testing.assert_allclose(found, ink / 255, atol=1e-6)


def test_dark_on_light_is_inverted(ink: np.ndarray, tmp_path: Path) -> None:
    found = read_digit(write(tmp_path / "x.png", 255 - ink)).numpy()
    np.testing.assert_allclose(found, ink / 255, atol=1e-6)


@pytest.mark.parametrize("times", [(8, 8), (2, 5)])
def test_larger_images_give_the_mean_of_each_box(
    times: tuple[int, int], ink: np.ndarray, tmp_path: Path
) -> None:
    found = read_digit(write(tmp_path / "x.png", np.kron(ink, np.ones(times)))).numpy()
    np.testing.assert_allclose(found, ink / 255, atol=1e-6)


def test_any_size_keeps_the_amount_of_ink(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 100, (13, 30))
    found = read_digit(write(tmp_path / "x.png", pixels)).numpy()
    assert found.mean() == pytest.approx(pixels.mean() / 255, rel=1e-5)


def test_a_smaller_image_is_spread(tmp_path: Path) -> None:
    found = read_digit(write(tmp_path / "x.png", np.array([[0, 0], [0, 80]]))).numpy()
    assert (found[4:, 4:] == np.float32(80 / 255)).all()
    assert found[:4].sum() == 0


def test_color_becomes_gray_and_what_is_transparent_paper(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8, 4))
    pixels[2:6, 2:6] = (0, 0, 0, 255)
    found = read_digit(write(tmp_path / "x.png", pixels)).numpy()
    assert found[3, 3] == 1
    assert found[0, 0] == 0


def test_jpeg_is_read(ink: np.ndarray, tmp_path: Path) -> None:
    found = read_digit(write(tmp_path / "x.jpg", np.kron(ink, np.ones((8, 8))))).numpy()
    np.testing.assert_allclose(found, ink / 255, atol=0.03)


def test_the_samples_are_held_out_digits_that_say_what_they_show() -> None:
    images, labels = load_digits("test")
    paths = list(samples())
    assert len(paths) >= 5
    for path in paths:
        distance = abs(images.numpy() - read_digit(path).numpy()).max(axis=(1, 2))
        assert distance.min() < 1 / 255
        assert labels.tolist()[int(distance.argmin())] == int(path.name[0])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="absent.png: .*there is no such file"):
        read_digit(tmp_path / "absent.png")


@pytest.mark.parametrize("content", [b"", b"this is text", bytes(100)])
def test_what_is_no_image_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(content)
    with pytest.raises(FileError, match="x.png: not an image"):
        read_digit(tmp_path / "x.png")


def test_a_truncated_image_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.png", np.random.default_rng(0).integers(0, 255, (64, 64)))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(FileError, match="cannot be read"):
        read_digit(path)


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(FileError):
        read_digit(tmp_path)


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtra, match=r"smelt-learn\[data\]"):
        read_digit(tmp_path / "x.png")
