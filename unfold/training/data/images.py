"""Images as sequences: rows, pixels, grids or wholes, with their classes and captions.

    digits [1797, 8, 8]  →  rows    x[t]: [8]          8 steps of 8 numbers
                            pixels  x[t]: []           64 steps of a number
                            grid    x[i,j]: []         8 by 8 points of a number
                            whole   x: [8, 8]          one matrix

With `patch: 2` a point of a grid, or one of `pixels`, is a square of 2 by 2 pixels, row by row:
grid x[i,j]: [4] has 4 by 4 points.

Columns are `image` (from 0 to 1, [N, height, width] or [N, height, width, channels] before the
layout), `label` (a class) and, for digits, `caption` (its name, each letter a class, and an end)
and `name` (the same without the end).
The digits are those of scikit-learn; see sets/README.md.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from unfold.errors import DataError
from unfold.settings.data import ImageFile, ImageFolder, ImagesData
from unfold.spec.file.model import Section
from unfold.training.data.arrays import COPIES, read_arrays
from unfold.training.data.columns import Array, Column, Examples
from unfold.training.data.dataset import SetDataset
from unfold.training.data.problems import RELATIVE, data_error, require_room, suggest, unwritable
from unfold.training.data.text import END, Text

SETS = Path(__file__).parent / "sets"
MAX_PIXELS = 1 << 26
NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def images_dataset(settings: ImagesData, section: Section, folder: Path) -> SetDataset:
    """Read images.

    Raises:
        DataError: files cannot be read, or images have different sizes.
    """
    match settings.images:
        case ImageFile() as file:
            image, label = _from_arrays(file, section, folder)
            columns, classes = {"image": image, "label": label}, int(label.values.max()) + 1
        case ImageFolder(folder=name):
            image, label = _from_folder(name, section, folder)
            columns, classes = {"image": image, "label": label}, len(label.symbols or ())
        case _:
            columns, classes = _digits(), len(NAMES)
    image = columns["image"]
    height, width = image.values.shape[1:3]
    _check_patch(settings, section, (height, width))
    arranged = arrange(image.values, settings.layout, settings.patch)
    examples = Examples({**columns, "image": Column(arranged, where=image.where)})
    told = f"{image.count:,} images of {height}×{width} in {classes} classes, as {settings.layout}"
    told += f" of {settings.patch}×{settings.patch}" if settings.patch > 1 else ""
    return SetDataset(settings, section, "images", settings.inputs, lambda _: examples, told)


def _check_patch(settings: ImagesData, section: Section, size: tuple[int, int]) -> None:
    """Check that images can be cut into squares.

    Raises:
        DataError: squares do not fill them, or the layout has no squares.
    """
    patch = settings.patch
    if patch > 1 and settings.layout not in ("pixels", "grid"):
        message = f"layout {settings.layout} has no squares of {patch} by {patch} pixels"
        raise data_error(section, ("patch",), message, "use patch with layout pixels or grid")
    if any(length % patch for length in size):
        height, width = size
        message = f"squares of {patch} by {patch} pixels do not fill images of {height}×{width}"
        raise data_error(section, ("patch",), message, "use a divisor of both")


def arrange(images: Array, layout: str, patch: int = 1) -> Array:
    """Lay images [N, height, width(, channels)] out as sequences, grids or matrices."""
    if patch > 1:
        images = _squares(images, patch)
    count, height, width, *channels = images.shape
    if layout == "rows":
        return images.reshape(count, height, -1)
    if layout == "pixels":
        return images.reshape(count, height * width, *channels)
    return images


def _squares(images: Array, side: int) -> Array:
    """Cut images into squares: [N, height / side, width / side, side * side (* channels)]."""
    count, height, width = images.shape[:3]
    cut = images.reshape(count, height // side, side, width // side, side, -1)
    return cut.swapaxes(2, 3).reshape(count, height // side, width // side, -1)


def digit_images() -> tuple[Array, Array]:
    """Return scikit-learn's digits from 0 to 1, [1797, 8, 8], and their classes, [1797]."""
    with np.load(SETS / "digits.npz", allow_pickle=False) as archive:
        return archive["image"] / 16.0, archive["label"].astype(np.int64)


def _digits() -> dict[str, Column]:
    images, labels = digit_images()
    vocabulary = Text.of("".join(NAMES) + END)
    captions = [vocabulary.encode(NAMES[label] + END) for label in labels]
    letters = vocabulary.vocabulary
    unended = Text.of("".join(NAMES))
    names = [unended.encode(NAMES[label]) for label in labels]
    return {
        "image": Column(images, where="image"),
        "label": Column(labels, classes=len(NAMES), symbols=tuple(NAMES), where="label"),
        "caption": Column.ragged(captions, classes=len(letters), symbols=letters, where="caption"),
        "name": Column.ragged(
            names, classes=len(letters) - 1, symbols=unended.vocabulary, where="name"
        ),
    }


def _from_arrays(source: ImageFile, section: Section, folder: Path) -> tuple[Column, Column]:
    """Take images and classes out of a file of arrays."""
    arrays = read_arrays(source.file, section, ("images", "file"), folder)
    for key, name in (("image", source.image), ("label", source.label)):
        if name not in arrays:
            message = f"{source.file} has no array {name} for the {key}"
            help = suggest(name, arrays, "its arrays")
            raise data_error(section, ("images", key), message, help)
    images, labels = arrays[source.image], arrays[source.label]
    if images.ndim not in (3, 4) or not images.size or images.dtype.kind not in "uif":
        message = f"array {source.image} of {source.file} is {images.dtype} {list(images.shape)}"
        help = "images must be numbers [N, height, width] or [N, height, width, channels]"
        raise data_error(section, ("images", "file"), message, help)
    if labels.ndim != 1 or labels.dtype.kind not in "ui" or len(labels) != len(images):
        message = f"array {source.label} of {source.file} is {labels.dtype} {list(labels.shape)}"
        help = f"labels must be whole numbers, one for each of {len(images)} images"
        raise data_error(section, ("images", "file"), message, help)
    if labels.dtype == np.uint64 and labels.max() > np.iinfo(np.int64).max:
        row = int(labels.argmax())
        message = f"array {source.label} of {source.file}, sequence {row + 1} is {labels[row]}"
        raise data_error(
            section, ("images", "file"), message, "labels must be classes, starting from 0"
        )
    scaled = images / 255.0 if images.dtype == np.uint8 else images
    where = f"of {source.file}"
    image = Column(scaled, where=f"array {source.image} {where}")
    return image, Column(labels.astype(np.int64), where=f"array {source.label} {where}")


def _from_folder(name: str, section: Section, folder: Path) -> tuple[Column, Column]:
    """Read PNG files from one folder per class."""
    at, root = ("images", "folder"), folder / name
    if not root.is_dir():
        raise data_error(section, at, f"{root} is not a folder", RELATIVE)
    classes = sorted(p for p in root.iterdir() if p.is_dir())
    files = [(f, i) for i, c in enumerate(classes) for f in sorted(c.glob("*.png"))]
    if not files:
        help = f"put PNG files into one folder per class: {name}/cat/1.png"
        raise data_error(section, at, f"there are no images in the folders of {root}", help)
    for path in classes:
        if unwritable(path.name) is not None:
            shown = os.fsencode(path.name).decode("utf-8", "backslashreplace")
            message = f"the name of the folder {shown} in {root} is not UTF-8"
            raise data_error(section, at, message, "rename it: its name is used as a class")
    first = _read_png(files[0][0], section)
    what = f"{root} with {len(files):,} images of {_size(first)}"
    require_room(COPIES * len(files) * first.nbytes, what, section, at)
    images = np.empty((len(files), *first.shape))
    for place, (file, _) in enumerate(files):
        image = _read_png(file, section)
        if image.shape != first.shape:
            message = f"{file} is {_size(image)}, but {files[0][0]} is {_size(first)}"
            raise data_error(section, at, message, "all images must have the same size")
        images[place] = image
    labels = np.array([label for _, label in files], dtype=np.int64)
    symbols = tuple(c.name for c in classes)
    column = Column(images, where=f"images of {name}")
    return column, Column(labels, classes=len(classes), symbols=symbols, where=f"folders of {name}")


def _read_png(file: Path, section: Section) -> Array:
    """Return an image from 0 to 1, [height, width] or [height, width, channels]."""
    from PIL import Image

    if not file.is_file():
        raise _damaged(file, section, "it is not a file")

    try:
        with Image.open(file, formats=["PNG"]) as image:
            if image.width * image.height > MAX_PIXELS:
                raise _damaged(file, section, f"it has {image.width}×{image.height} pixels")
            mode = image.mode
            deep = mode.startswith("I")
            plain = image if mode in ("L", "RGB") or deep else image.convert(_plain(mode))
            return np.asarray(plain, dtype=np.float64) / (65535.0 if deep else 255.0)
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise _damaged(file, section, str(error)) from None


def _plain(mode: str) -> str:
    """Return grey for images without colours, red, green and blue for all others."""
    return "L" if mode in ("1", "LA") else "RGB"


def _damaged(file: Path, section: Section, why: str) -> DataError:
    message = f"cannot read {file}: {why}"
    return data_error(section, ("images", "folder"), message, "fix it or remove it")


def _size(image: Array) -> str:
    height, width, *channels = image.shape
    return f"{height}×{width}" + (f" with {channels[0]} channels" if channels else "")
