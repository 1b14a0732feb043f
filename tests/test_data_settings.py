"""The section `data`: what may be written for every family, and the words for what may not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from unfold.errors import Location, SpecError
from unfold.settings.data import (
    FAMILIES,
    BuiltIn,
    ImageFolder,
    ImagesData,
    SeriesData,
    TaskData,
    read_data,
)
from unfold.settings.tasks import TASKS, Copy, Reber, Tomita


@dataclass(frozen=True)
class Section:
    """A section whose places are paths: a key has length 1, a value length 2."""

    tree: Mapping[str, Any]

    def locate(self, path: tuple[str | int, ...]) -> Location:
        """Say where a value is."""
        return Location("/".join(map(str, path)), 1, 1, 2)

    def locate_key(self, path: tuple[str | int, ...]) -> Location:
        """Say where a key is."""
        return Location("/".join(map(str, path)), 1, 1, 1)


def test_every_family_is_known_by_its_key() -> None:
    assert list(FAMILIES) == [
        "text",
        "lines",
        "series",
        "arrays",
        "sequences",
        "images",
        "task",
        "random",
    ]
    for name, kind in FAMILIES.items():
        assert name in kind.model_fields


def test_short_forms() -> None:
    data = read_data(Section({"series": "co2", "inputs": {"x": "co2", "z": ["co2"]}}))
    assert isinstance(data, SeriesData)
    assert data.series == BuiltIn(name="co2")
    assert data.inputs == {"x": "co2", "z": ("co2",)}
    data = read_data(Section({"images": "digits"}))
    assert isinstance(data, ImagesData)
    assert (data.images, data.layout, data.batch) == (BuiltIn(name="digits"), "rows", 16)
    data = read_data(Section({"images": {"folder": "pets"}}))
    assert isinstance(data, ImagesData)
    assert data.images == ImageFolder(folder="pets")


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_defaults(name: str) -> None:
    for written in (name, {name: None}, {name: {}}):
        data = read_data(Section({"task": written}))
        assert isinstance(data, TaskData)
        assert data.task == TASKS[name]()


def test_constants_of_tasks() -> None:
    def task(written: Any) -> Any:
        data = read_data(Section({"task": written}))
        assert isinstance(data, TaskData)
        return data.task

    assert task("reber") == Reber()
    assert task({"copy": {"delay": 7}}) == Copy(delay=7)
    assert task({"tomita": {"grammar": 3, "length": [2, 5]}}) == Tomita(grammar=3, length=[2, 5])
    assert task({"adding": {"length": 9}}).length == (9, 9)


CASES: list[tuple[dict[str, Any], list[tuple[str, str, int]]]] = [
    (
        {"tekst": "pydoc"},
        [
            (
                "data does not name a source | add one of the keys text, lines, series, "
                "arrays, sequences, images, task, random; docs/data.md has an example of each",
                "",
                1,
            )
        ],
    ),
    (
        {"task": "rebr"},
        [
            (
                f"data.task: expected one of {', '.join(TASKS)}, or {{copy: {{delay: 50}}}},"
                ' got "rebr"',
                "task",
                2,
            )
        ],
    ),
    (
        {"task": {"copy": {"delay": 0, "symbls": 3}}},
        [
            ("data.task.copy.delay: expected a number of at least 1, got 0", "task/copy/delay", 2),
            ("unknown key 'symbls' in data.task.copy", "task/copy/symbls", 1),
        ],
    ),
    (
        {"task": {"tomita": {"grammar": 8, "length": [3, 2]}}, "validation": 0.5},
        [
            (
                "data.validation: expected a number of sequences, got 0.5",
                "validation",
                2,
            ),
            (
                "data.task.tomita.grammar: expected a number of at most 7, got 8",
                "task/tomita/grammar",
                2,
            ),
            (
                "data.task.tomita.length: expected a length from 1 to 1,000, or two as in [5, 10],"
                " got [3, 2]",
                "task/tomita/length",
                2,
            ),
        ],
    ),
    (
        {"series": "c02", "inputs": {"x": 3}, "normalise": "yes"},
        [
            ('data.series: expected sunspots, co2 or {file: weather.csv}, got "c02"', "series", 2),
            ("data.inputs.x: expected a column or a list of columns, got 3", "inputs/x", 2),
            (
                "data.normalise: expected 'standard', 'range' or 'none', got \"yes\"",
                "normalise",
                2,
            ),
        ],
    ),
    (
        {"series": "co2", "inputs": {}},
        [("data.inputs: expected at least 1 entry, got {}", "inputs", 2)],
    ),
    (
        {"series": {"file": "a.csv", "separator": "::"}, "inputs": {"x": "a"}},
        [
            (
                'data.series.separator: expected at most 1 character, got "::"',
                "series/separator",
                2,
            )
        ],
    ),
    (
        {"arrays": {"fil": "a.npz"}, "bucket": 0},
        [
            ("data.bucket: expected a number of at least 1, got 0", "bucket", 2),
            ("unknown key 'fil' in data.arrays | did you mean 'file'?", "arrays/fil", 1),
        ],
    ),
    (
        {"arrays": {"file": "a.npz"}, "validation": -1, "order": "random"},
        [
            (
                "data.validation: expected a fraction from 0 to 1 or a whole number, got -1",
                "validation",
                2,
            ),
            ("data.order: expected 'shuffled' or 'given', got \"random\"", "order", 2),
        ],
    ),
    (
        {"images": "digitz", "layout": "columns"},
        [
            (
                "data.images: expected digits, {file: faces.npz} or {folder: pictures},"
                ' got "digitz"',
                "images",
                2,
            ),
            (
                "data.layout: expected 'rows', 'pixels', 'grid' or 'whole', got \"columns\"",
                "layout",
                2,
            ),
        ],
    ),
    (
        {"text": "pydoc", "lines": {"string": "a"}, "input": "x", "target": "y"},
        [("unknown key 'lines' in data | known keys: ", "lines", 1)],
    ),
]


@pytest.mark.parametrize(("tree", "expected"), CASES)
def test_mistakes_have_words_and_places(
    tree: dict[str, Any], expected: list[tuple[str, str, int]]
) -> None:
    with pytest.raises(SpecError) as caught:
        read_data(Section(tree))
    found: list[tuple[str, str, int]] = []
    for diagnostic in caught.value.diagnostics:
        assert diagnostic.location is not None
        text = diagnostic.message + (f" | {diagnostic.help}" if diagnostic.help else "")
        found.append((text, diagnostic.location.file, diagnostic.location.length))
    assert sorted(p for _, p, _ in found) == sorted(p for _, p, _ in expected)
    for text, place, length in expected:
        assert any(t.startswith(text) and (p, n) == (place, length) for t, p, n in found), found
