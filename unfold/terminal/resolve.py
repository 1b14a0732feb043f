"""The spec of a run as a file of its own: the user's text with every change written into it.

Sizes and extents that the command line or the data decided replace the numbers in the text, paths
are made relative to the new place, and a section that was changed is written anew at the end. All
the rest stays as it was, comments included; the result loads to the model that was run.

    sizes: {vocab: 65, hidden: 100}   with vocab from the text   →   sizes: {vocab: 103, hidden:
        100}

Known weakness: of a file whose top level is written in braces, the changed sections stay as they
were.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unfold.spec.text.text import Span
    from unfold.terminal.task import Task

Edit = tuple[int, int, str]


def resolve(task: Task, folder: Path) -> str:
    """Return the text of the spec as it is run; paths in it are relative to a folder."""
    spec, axes, sizes = task.model.spec, task.changes.axes, {**task.sizes, **task.changes.sizes}
    text = spec.sections_at["unfold"].text.file.text
    edits = [
        _edit(d.value.at, str(sizes[d.name])) for d in spec.sizes if d.name in sizes and d.value
    ]
    edits += [
        _edit(d.extent.at, str(axes[d.name])) for d in spec.axes if d.name in axes and d.extent
    ]
    home = Path(spec.file).parent
    edits += [_edit(use.path_at, os.path.relpath(home / use.path, folder)) for use in spec.uses]
    edits += [
        _edit(init.path_at, os.path.relpath(home / str(init.argument), folder))
        for declaration in spec.parameters
        if (init := declaration.init) is not None and init.path_at is not None
    ]
    starts = sorted(_start(at) for at in spec.sections_at.values())
    written: dict[str, Mapping[str, Any]] = {}
    for name, tree in task.sections.items():
        at = spec.sections_at.get(name)
        if at is not None and at.location.column != 1:
            continue
        if at is not None:
            start = _start(at)
            end = next((s for s in starts if s > start), len(text))
            edits = [e for e in edits if not start <= e[0] < end]
            edits.append((start, end, ""))
        written[name] = tree
    return _apply(text, edits) + _dump(written)


def _start(at: Span) -> int:
    return at.text.offsets[at.start]


def _edit(at: Span, text: str) -> Edit:
    return (_start(at), at.text.offsets[at.end - 1] + 1, text)


def _apply(text: str, edits: Iterable[Edit]) -> str:
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text if text.endswith("\n") else text + "\n"


def _dump(sections: Mapping[str, Mapping[str, Any]]) -> str:
    import yaml

    return "".join(
        yaml.safe_dump(
            {name: dict(tree)}, sort_keys=False, default_flow_style=None, allow_unicode=True
        )
        for name, tree in sections.items()
    )
