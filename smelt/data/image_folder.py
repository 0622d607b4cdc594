"""Images in folders that are named after their classes."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from smelt.data.augment import generator_of
from smelt.data.dataset import Dataset
from smelt.data.images import read_image
from smelt.data.transforms import Compose, ImageTransform
from smelt.errors import ArgumentError, ArgumentTypeError, FileError
from smelt.tensor import Tensor
from smelt.tensor.checked import checked_methods

__all__ = ["ImageFolder"]

EXTENSIONS = (
    ".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp",
)  # fmt: skip


@checked_methods
class ImageFolder(Dataset):
    """Images in the folders of a folder, one per class: `root/cat/1.png`, `root/dog/a/2.jpg`.

    A sample is (image, class): float32 of shape (channels, height, width), 0 to 1, and an int.
    Random transforms of `smelt.data.transforms` get a generator determined by seed, epoch and index
    of the sample.

    Args:
        root: the folder.
        transform: (image) -> what to use in its place, such as a `Resize`, so that all have the
            same size and can be batched.
        target_transform: (class) -> what to use in its place.
        classes: the names in the order of their numbers, or another `ImageFolder`, such as that of
            the training data, whose classes are used; a class may then have no folder. When None,
            the sorted names of the folders; then two roots with different folders number them
            differently.
        extensions: of the image files; other files, and names that begin with a dot, are ignored.
        mode: see `read_image`.
        seed: random seed of the transforms.
        epoch: number of the epoch; `DataLoader` sets it.

    Attributes:
        classes: the names of the folders, sorted, or as they were given.
        class_to_idx: name -> number of the class.
        imgs: (path, number of the class) of each image, sorted.
        targets: the numbers of the classes.

    Raises:
        FileError: the folder, or a class in it, is missing or has no images, or there is a link to
            a folder or out of `root`.
        ArgumentError: a folder is none of the `classes`, or a name among them is given twice.

    Example:
        train = ImageFolder("pets/train")
        test = ImageFolder("pets/test", classes=train)  # the same numbers, whatever is there
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        transform: Callable[[Tensor], Any] | None = None,
        target_transform: Callable[[int], Any] | None = None,
        *,
        classes: Sequence[str] | ImageFolder | None = None,
        extensions: Sequence[str] = EXTENSIONS,
        mode: str = "RGB",
        seed: int = 0,
        epoch: int = 0,
    ) -> None:
        if not isinstance(root, (str, os.PathLike)):
            raise ArgumentTypeError(
                f"ImageFolder: root must be a path, got a {type(root).__name__}"
            )
        self.root: Path = Path(root)
        self.transform = transform
        self.target_transform = target_transform
        self.mode = mode
        self.seed = seed
        self.epoch = epoch
        self.extensions: tuple[str, ...] = tuple(extension.lower() for extension in extensions)
        folders = [entry.name for entry in _entries(self.root) if _is_folder(entry)]
        if not folders:
            raise FileError(
                f"{self.root}: holds no folders; the pictures of each class belong in a folder "
                "with its name"
            )
        self.classes: list[str] = (
            folders if classes is None else _agreed(self.root, folders, classes)
        )
        self.class_to_idx: dict[str, int] = {
            name: number for number, name in enumerate(self.classes)
        }
        self.imgs: list[tuple[str, int]] = [
            (path, number)
            for name, number in self.class_to_idx.items()
            if name in folders
            for path in self._of(name)
        ]
        self.targets: list[int] = [number for _, number in self.imgs]

    def __len__(self) -> int:
        return len(self.imgs)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, number = self.imgs[index]
        picture: Any = read_image(path, self.mode)
        if isinstance(self.transform, (ImageTransform, Compose)):
            place = index % len(self)
            picture = self.transform(picture, generator_of(self.seed, self.epoch, place))
        elif self.transform is not None:
            picture = self.transform(picture)
        target = number if self.target_transform is None else self.target_transform(number)
        return picture, target

    def at_epoch(self, epoch: int) -> ImageFolder:
        """Returns the same images with the random numbers of an epoch."""
        other = object.__new__(type(self))
        vars(other).update(vars(self), epoch=epoch)
        return other

    def _of(self, name: str) -> list[str]:
        """Returns the paths of a class, sorted."""
        folders, paths, others = [self.root / name], [], []
        while folders:
            for entry in _entries(folders.pop()):
                if _is_folder(entry):
                    folders.append(Path(entry.path))
                elif entry.name.lower().endswith(self.extensions):
                    paths.append(self._inside(entry))
                else:
                    others.append(entry.name)
        if not paths:
            found = f"{len(others)} other files, such as {others[0]!r}" if others else "no files"
            raise FileError(
                f"{self.root / name}: holds no pictures ({', '.join(self.extensions)}) but "
                f"{found}; put some there, remove the folder, or name their endings by extensions="
            )
        return sorted(paths)

    def _inside(self, entry: os.DirEntry[str]) -> str:
        if entry.is_symlink():
            target = Path(os.path.realpath(entry.path))
            if not target.is_relative_to(os.path.realpath(self.root)):
                raise FileError(f"{entry.path}: is a link that leads out of {self.root}")
        return entry.path


def _agreed(root: Path, folders: Sequence[str], classes: Sequence[str] | ImageFolder) -> list[str]:
    """Returns the names of given classes, among which there are all folders."""
    given = classes.classes if isinstance(classes, ImageFolder) else classes
    if isinstance(given, str) or not all(isinstance(name, str) for name in given):
        raise ArgumentTypeError(
            f"ImageFolder: classes={given!r}; give a list of names, or another ImageFolder"
        )
    names = list(given)
    if twice := [name for name in names if names.count(name) > 1]:
        raise ArgumentError(f"ImageFolder: classes has {twice[0]!r} twice")
    if unknown := [name for name in folders if name not in names]:
        of = f" of the ImageFolder {classes.root}" if isinstance(classes, ImageFolder) else ""
        near = difflib.get_close_matches(unknown[0], names, 1)
        hint = f"; is it {near[0]!r}?" if near else "."
        raise ArgumentError(
            f"{root}: holds the folder {unknown[0]!r}, which is not one of the classes{of} "
            f"({', '.join(names)}){hint} Rename or remove the folder, or give all classes"
        )
    return names


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            seen = [entry for entry in found if not entry.name.startswith(".")]
            return sorted(seen, key=lambda entry: entry.name)
    except OSError as error:
        raise FileError(f"{folder}: cannot be read as a folder ({error.strerror})") from None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    if entry.is_symlink() and entry.is_dir():
        raise FileError(f"{entry.path}: is a link to a folder; put the folder itself there")
    return entry.is_dir()
