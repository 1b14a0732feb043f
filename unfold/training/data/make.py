"""Data made in Python: a function per family, with the keys of the section `data` as arguments.

    from unfold.training.data import make
    data = make.arrays({"x": x, "y": y}, lengths={"t": n}, batch=8, validation=0.2)
    fit = data.fit(model.program)              # sizes and extents that the data want
    batches = data.batches(model.program)      # .train.batch(0).inputs, .validation, .told

Each function returns a `Dataset`, as a spec does. Paths are relative to the working folder. Errors
are the same as those of a spec, without a place in a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unfold.settings.data import SERIES, ArraysData, read_data
from unfold.spec.file.model import Section
from unfold.training.data.arrays import given_arrays
from unfold.training.data.dataset import Dataset
from unfold.training.data.open import open_data
from unfold.training.tasks.tasks import TaskDataset


def describe(data: Mapping[str, Any], folder: str | Path = ".") -> Dataset:
    """Read data as a spec would, from the same mapping.

    Arguments:
        data: the content of a section `data`.
        folder: the base of relative paths.

    Raises:
        SpecError: the mapping has a mistake.
        DataError: the data cannot be read.
    """
    section = Section.at(None, data)
    return open_data(read_data(section), section, Path(folder))


def text(file: str | None = None, *, string: str | None = None, **settings: Any) -> Dataset:
    """Return a text as data; settings as in `data: {text: ...}`.

    >>> hello = text(string="hello", input="x", target="y", batch=1)
    >>> hello.text.vocabulary
    'ehlo'
    """
    source = {"string": string} if string is not None else {"file": file} if file else "pydoc"
    return describe({"text": source, **settings})


def lines(file: str | None = None, *, string: str | None = None, **settings: Any) -> Dataset:
    """Return a text with one sequence per line; settings as in `data: {lines: ...}`."""
    return describe({"lines": {"string": string} if file is None else {"file": file}, **settings})


def series(source: str, **settings: Any) -> Dataset:
    """Return a CSV file, or "sunspots" or "co2"; settings as in `data: {series: ...}`."""
    built_in = source in SERIES
    return describe({"series": source if built_in else {"file": source}, **settings})


def arrays(source: str | Mapping[str, Any], **settings: Any) -> Dataset:
    """Return arrays [N, *extents, *shape] by name, or a file of them.

    Settings are those of `data: {arrays: ...}`; `lengths` may hold arrays in place of names.

    >>> import numpy as np
    >>> data = arrays({"x": np.zeros((7, 5, 3)), "n": np.arange(1, 8) % 5 + 1}, lengths={"t": "n"})
    >>> data.told
    '7 sequences: x [7, 5, 3], n [7]'
    """
    if isinstance(source, str):
        return describe({"arrays": {"file": source}, **settings})
    given, named = dict(source), dict[str, str]()
    for axis, own in dict(settings.pop("lengths", {})).items():
        named[axis] = own if isinstance(own, str) else f"lengths of {axis}"
        if not isinstance(own, str):
            given[named[axis]] = own
    section = Section.at(None, {"arrays": {"file": "arrays"}, "lengths": named, **settings})
    checked = read_data(section)
    assert isinstance(checked, ArraysData)
    return given_arrays(checked, section, given)


def sequences(file: str, **settings: Any) -> Dataset:
    """Return a file of JSON lines; settings as in `data: {sequences: ...}`."""
    return describe({"sequences": {"file": file}, **settings})


def images(source: str, **settings: Any) -> Dataset:
    """Return "digits", a file of arrays or a folder of PNG files; settings as in `data`."""
    if source == "digits":
        return describe({"images": source, **settings})
    kind = "folder" if Path(source).is_dir() else "file"
    return describe({"images": {kind: source}, **settings})


def task(name: str, constants: Mapping[str, Any] | None = None, **settings: Any) -> TaskDataset:
    """Return a built-in task; settings as in `data: {task: ...}`.

    >>> task("copy", {"delay": 50}, inputs={"x": "symbol", "y": "target"}).settings.task.delay
    50
    """
    made = describe({"task": {name: dict(constants or {})}, **settings})
    assert isinstance(made, TaskDataset)
    return made
