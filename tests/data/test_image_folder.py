"""Pictures from files and folders."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smelt.nn.functional as F
from smelt import nn, optim
from smelt.data import ConcatDataset, DataLoader, ImageFolder, Subset, read_image, transforms
from smelt.errors import ArgumentError, FileError, ShapeError
from smelt.train import fit

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
    exif[0x0112] = 6  # held a quarter rotated
    write(tmp_path / "a.png", exif=exif)
    upright = np.rot90(PIXELS, -1).transpose(2, 0, 1) / 255
    assert read_image(tmp_path / "a.png").numpy() == pytest.approx(upright)


def test_sixteen_bits_keep_their_depth(tmp_path: Path) -> None:
    write(tmp_path / "a.png", np.array([[0, 256], [32768, 65535]], np.uint16))
    gray = read_image(tmp_path / "a.png", "L").numpy()
    assert gray == pytest.approx(np.array([[[0, 256], [32768, 65535]]]) / 65535)
    assert read_image(tmp_path / "a.png").shape == (3, 2, 2)


CHANCE = np.random.default_rng(0)
COLORS = Image.fromarray(CHANCE.integers(0, 256, (60, 90, 3), np.uint8))
KINDS = {
    "palette.png": lambda path: COLORS.quantize(16).save(path),
    "clear_palette.png": lambda path: COLORS.quantize(16).save(path, transparency=0),
    "opacity.png": lambda path: COLORS.convert("RGBA").save(path),
    "gray_opacity.png": lambda path: COLORS.convert("LA").save(path),
    "bits.png": lambda path: COLORS.convert("1").save(path),
    "print.jpg": lambda path: COLORS.convert("CMYK").save(path),
    "video.jpg": lambda path: COLORS.convert("YCbCr").save(path),
    "lab.tif": lambda path: COLORS.convert("LAB").save(path),
    "animated.gif": lambda path: COLORS.save(
        path, save_all=True, append_images=[COLORS.rotate(180)]
    ),
}


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
@pytest.mark.parametrize("name", KINDS)
def test_pixels_of_every_kind_are_pillows(name: str, mode: str, tmp_path: Path) -> None:
    KINDS[name](tmp_path / name)
    with Image.open(tmp_path / name) as image:
        source = image.convert("RGB") if image.mode == "LAB" else image
        expected = np.atleast_3d(np.asarray(source.convert(mode), np.float32)) / 255
    found = read_image(tmp_path / name, mode).numpy()
    assert (found == expected.transpose(2, 0, 1)).all()


def test_gray_floats_and_integers_have_a_known_white_or_none(tmp_path: Path) -> None:
    shares = CHANCE.random((4, 5)).astype(np.float32)
    write(tmp_path / "a.tif", shares)
    assert (read_image(tmp_path / "a.tif", "L").numpy() == shares).all()
    for pixels in (shares * 255, shares * np.float32("nan"), (shares * 2**30).astype(np.int32)):
        write(tmp_path / "a.tif", pixels)
        with pytest.raises(FileError, match="a.tif: the gray values go from .*and scale it"):
            read_image(tmp_path / "a.tif")


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content)) + kind + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )  # fmt: skip


def test_what_is_no_picture_or_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("a text")
    with pytest.raises(FileError, match="a.png: not an image"):
        read_image(path)
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 1, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b""))
    with pytest.raises(FileError, match="a.png: the image cannot be read .*2500000000 pixels"):
        read_image(path)
    COLORS.save(tmp_path / "a.jpg")
    path.write_bytes((tmp_path / "a.jpg").read_bytes()[:2000])
    with pytest.raises(FileError, match="a.png: the image cannot be read .*truncated"):
        read_image(path)


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
    with pytest.raises(ShapeError, match="samples of a batch must have the same shape"):
        list(DataLoader(ImageFolder(root), 4))
    (batch,) = DataLoader(ImageFolder(root, transforms.Resize((5, 5))), 4)
    assert batch[0].shape == (4, 3, 5, 5)


def test_what_is_wrong_is_named(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (root / "dog" / "c.png").write_bytes((root / "dog" / "b.png").read_bytes()[:60])
    with pytest.raises(FileError, match=r"dog/c.png: the image cannot be read") as caught:
        list(DataLoader(ImageFolder(root), 4))
    assert "reading sample 2 of a ImageFolder" in caught.value.__notes__
    (root / "bird").mkdir()
    with pytest.raises(FileError, match=r"bird: holds no pictures \(.jpg.*but no files"):
        ImageFolder(root)
    (root / "bird" / "a.heic").write_bytes(b"")
    with pytest.raises(FileError, match=r"bird: holds .* 1 other files, such as 'a.heic'"):
        ImageFolder(root)
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(FileError, match="holds no folders"):
        ImageFolder(empty)
    with pytest.raises(FileError, match="none: cannot be read as a folder"):
        ImageFolder(empty / "none")


def test_two_folders_agree_about_their_classes(root: Path, tmp_path_factory: Any) -> None:
    other = tmp_path_factory.mktemp("test")
    write(other / "dog" / "1.png")
    train, test = ImageFolder(root), ImageFolder(other)
    assert (train.targets, test.targets) == ([0, 1, 1], [0])
    for classes in (train, ["cat", "dog"]):
        same = ImageFolder(other, classes=classes)
        assert (same.classes, same.targets, same[0][1]) == (["cat", "dog"], [1], 1)
    assert ImageFolder(root, classes=["dog", "cat"]).targets == [0, 0, 1]
    with pytest.raises(
        ArgumentError, match="same class number .*has .'cat', 'dog'., and .*classes=oth"
    ):
        ConcatDataset([train, test])
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    with pytest.raises(ArgumentError, match="fit: the same class number"):
        fit(
            model, F.cross_entropy, optim.SGD(model.parameters(), lr=0.1), train, epochs=1,
            validation=DataLoader(Subset(test, [0]), 1), progress=False,
        )  # fmt: skip
    assert len(ConcatDataset([train, ImageFolder(other, classes=train)])) == 4
    with pytest.raises(
        ArgumentError, match="'cat', which is not one of the classes of the ImageFol"
    ):
        ImageFolder(root, classes=test)
    with pytest.raises(ArgumentError, match=r"'dog', .*\(cat, dogs\); is it 'dogs'\?"):
        ImageFolder(root, classes=["cat", "dogs"])
    with pytest.raises(ArgumentError, match="'cat' twice"):
        ImageFolder(root, classes=["cat", "cat", "dog"])


def test_what_begins_with_a_dot_is_not_looked_at(root: Path) -> None:
    write(root / ".ipynb_checkpoints" / "1.png")
    (root / "dog" / "._b.png").write_bytes(b"of a file system")
    assert (ImageFolder(root).classes, len(ImageFolder(root))) == (["cat", "dog"], 3)


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
