"""Pictures from files and folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smelt.data import DataLoader, ImageFolder, read_image, transforms
from smelt.errors import ArgumentError, FileError, ShapeError

Image = pytest.importorskip("PIL.Image")

PIXELS = np.arange(36, dtype=np.uint8).reshape(3, 4, 3) * 7


def write(path: Path, pixels: np.ndarray = PIXELS, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "dog" / "b.png")
    write(tmp_path / "dog" / "deep" / "a.PNG", 255 - PIXELS)
    write(tmp_path / "cat" / "1.png", PIXELS[::-1])
    (tmp_path / "cat" / "notes.txt").write_text("not a picture")
    (tmp_path / "loose.txt").write_text("")
    return tmp_path


def test_a_picture_is_channels_height_width(tmp_path: Path) -> None:
    write(tmp_path / "a.png")
    picture = read_image(tmp_path / "a.png")
    assert picture.numpy() == pytest.approx(PIXELS.transpose(2, 0, 1) / 255)
    assert picture.dtype.name == "float32"
    assert read_image(tmp_path / "a.png", "L").shape == (1, 3, 4)
    assert read_image(tmp_path / "a.png", "RGBA")[3].tolist() == [[1] * 4] * 3
    with pytest.raises(ArgumentError, match="mode='CMYK'"):
        read_image(tmp_path / "a.png", "CMYK")


def test_a_picture_stands_the_right_side_up(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # held a quarter turned
    write(tmp_path / "a.png", exif=exif)
    upright = np.rot90(PIXELS, -1).transpose(2, 0, 1) / 255
    assert read_image(tmp_path / "a.png").numpy() == pytest.approx(upright)


def test_sixteen_bits_keep_their_depth(tmp_path: Path) -> None:
    write(tmp_path / "a.png", np.array([[0, 256], [32768, 65535]], np.uint16))
    grey = read_image(tmp_path / "a.png", "L").numpy()
    assert grey == pytest.approx(np.array([[[0, 256], [32768, 65535]]]) / 65535)
    assert read_image(tmp_path / "a.png").shape == (3, 2, 2)


def test_classes_are_folders(root: Path) -> None:
    data = ImageFolder(root)
    assert (data.classes, data.class_to_idx) == (["cat", "dog"], {"cat": 0, "dog": 1})
    assert [Path(path).name for path, _ in data.imgs] == ["1.png", "b.png", "a.PNG"]
    assert data.targets == [0, 1, 1]
    picture, target = data[2]
    assert picture.numpy() == pytest.approx((255 - PIXELS).transpose(2, 0, 1) / 255)
    assert (len(data), target) == (3, 1)
    x, y = next(iter(DataLoader(data, 3, num_workers=2)))
    assert (x.shape, y.tolist()) == ((3, 3, 3, 4), [0, 1, 1])
    named = ImageFolder(str(root), target_transform=lambda number: -number, mode="L")
    assert named[1][1] == -1
    assert named[1][0].shape == (1, 3, 4)


@pytest.mark.parametrize("workers", [1, 3])
def test_random_transforms_belong_to_samples(root: Path, workers: int) -> None:
    change = transforms.Compose([transforms.RandomCrop(2), transforms.RandomHorizontalFlip()])

    def epochs(workers: int) -> list[bytes]:
        loader = DataLoader(ImageFolder(root, change, seed=1), 1, num_workers=workers)
        return [x.numpy().tobytes() for _ in range(3) for x, _ in loader]

    assert epochs(workers) == epochs(0)
    assert len(set(epochs(0))) > 3


def test_pictures_of_different_sizes_want_a_resize(root: Path) -> None:
    write(root / "dog" / "large.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ShapeError, match="samples of one shape"):
        list(DataLoader(ImageFolder(root), 4))
    (batch,) = DataLoader(ImageFolder(root, transforms.Resize((5, 5))), 4)
    assert batch[0].shape == (4, 3, 5, 5)


def test_what_is_wrong_is_named(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (root / "dog" / "c.png").write_bytes((root / "dog" / "b.png").read_bytes()[:60])
    with pytest.raises(FileError, match=r"dog/c.png: the image cannot be read") as caught:
        list(DataLoader(ImageFolder(root), 4))
    assert "reading sample 2 of a ImageFolder" in caught.value.__notes__
    (root / "bird").mkdir()
    with pytest.raises(FileError, match=r"bird: holds no pictures \(.jpg"):
        ImageFolder(root)
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(FileError, match="holds no folders"):
        ImageFolder(empty)
    with pytest.raises(FileError, match="none: cannot be read as a folder"):
        ImageFolder(empty / "none")


def test_links_do_not_lead_out(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    write(outside / "x.png")
    (root / "dog" / "inside.png").symlink_to(root / "cat" / "1.png")
    assert len(ImageFolder(root)) == 4
    (root / "dog" / "link.png").symlink_to(outside / "x.png")
    with pytest.raises(FileError, match=r"link.png: is a link that leads out of"):
        ImageFolder(root)
    (root / "dog" / "link.png").unlink()
    (root / "dog" / "loop").symlink_to(root)
    with pytest.raises(FileError, match="loop: is a link to a folder"):
        ImageFolder(root)
