"""Parse a whole spec file into a `Spec`, reporting every independent mistake at once.

In: the text of a file. Out: a `Spec`. Checked here: the outermost keys, the version, the name, and
that no name is defined twice. `sections_declarations`, `sections_equations` and `sections_settings`
parse the sections; each has its own kind of entry and is independent of the others.

    unfold: 1
    name: counter
    axes: {t: 5}
    nodes: {h[t]: h[t-1] + 1}
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from unfold.spec.file import sections_declarations as declarations
from unfold.spec.file import sections_equations as equations
from unfold.spec.file.expect import check_keys, expect_text
from unfold.spec.file.model import Section, Spec
from unfold.spec.file.names import check_name
from unfold.spec.file.sections_settings import parse_settings
from unfold.spec.file.sections_table import SECTIONS, VERSION
from unfold.spec.text.problems import MAX_REPORTED, Problems, fail
from unfold.spec.text.reader import MapNode, Node, kind_of, read, scalar_value
from unfold.spec.text.suggest import closest
from unfold.spec.text.text import Span, Text

_MODEL_NAME = re.compile(r"\w[\w.-]{0,99}")
_Parsed = TypeVar("_Parsed")


def parse_spec(text: str, file: str) -> Spec:
    """Parse a file.

    Arguments:
        text: the whole file.
        file: its path as the user wrote it, for locations.

    Raises:
        SpecError: with all mistakes of syntax, in the order of the file.
    """
    problems = Problems()
    spec = parse_spec_partly(text, file, problems)
    problems.raise_if_any()
    assert spec is not None
    return spec


def parse_spec_partly(text: str, file: str, problems: Problems) -> Spec | None:
    """Parse as much as possible, so that meaning can be checked in spite of mistakes of syntax.

    Arguments:
        text: the whole file.
        file: its path as the user wrote it.
        problems: records mistakes; its `broken` then holds the names whose definitions could not
            be read.

    Returns:
        the readable entries; None if a whole section could not be read, or the file's outermost
        keys are wrong, so that its names are unknown.
    """
    root = None
    with problems.collect():
        root = read(text, file, problems)
        if not isinstance(root, MapNode):
            raise fail(
                f"a spec is a mapping of sections, but this file is {kind_of(root)}",
                root.location,
                help="start it with  unfold: 1  and  name: my-model",
            )
    if not isinstance(root, MapNode):
        return None
    return _File(root, file, problems).parse()


@dataclass
class _File:
    """One file that is being parsed; `whole` turns false when a section cannot be read at all."""

    root: MapNode
    file: str
    problems: Problems
    whole: bool = True
    entries: dict[str, tuple[Text, Node]] = field(default_factory=dict)

    def parse(self) -> Spec | None:
        """Parse all sections."""
        before = self.problems.count
        self.entries = check_keys(self.root, SECTIONS, "", self.problems, "section")
        in_cell = self._check_head()
        self.whole = self.whole and self.problems.count == before
        name = self._section("name", self._name) or self._section("cell", self._cell) or ""
        take = self._section
        problems = self.problems
        spec = Spec(
            kind="cell" if in_cell else "spec",
            file=self.file,
            name=name,
            about=take("about", _about) or "",
            axes=take("axes", lambda n: declarations.parse_axes(n, problems)) or (),
            sizes=take("sizes", lambda n: declarations.parse_sizes(n, problems, in_cell=in_cell))
            or (),
            inputs=take("inputs", lambda n: declarations.parse_inputs(n, problems)) or (),
            parameters=take("parameters", lambda n: declarations.parse_parameters(n, problems))
            or (),
            uses=take("use", lambda n: declarations.parse_use(n, problems)) or (),
            nodes=take("nodes", lambda n: equations.parse_nodes(n, problems)) or (),
            initial=take("initial", lambda n: equations.parse_initial(n, problems)) or (),
            loss=take("loss", equations.parse_loss),
            outputs=take("outputs", lambda n: equations.parse_outputs(n, problems)) or (),
            output=take("output", equations.parse_output),
            stop=take("stop", lambda n: equations.parse_stop(n, self.entries["stop"][0], problems)),
            data=self._settings("data"),
            train=self._settings("train"),
            memory=self._settings("memory"),
            generate=self._settings("generate"),
            draw=self._settings("draw"),
            sections_at={key: written.span() for key, (written, _) in self.entries.items()},
        )
        _check_duplicates(spec, problems)
        return spec if self.whole else None

    def _section(self, key: str, parse: Callable[[Node], _Parsed]) -> _Parsed | None:
        """Parse one section if the file has it; record a mistake in its form as a whole."""
        if key not in self.entries:
            return None
        parsed = None
        with self.problems.collect():
            parsed = parse(self.entries[key][1])
        if parsed is None and key not in ("loss", "outputs", "stop", "about", "name"):
            self.whole = False
        return parsed

    def _settings(self, key: str) -> Section | None:
        return self._section(key, lambda node: parse_settings(self.entries[key][0], node))

    def _check_head(self) -> bool:
        """Check version, kind and required sections; return whether the file is a cell."""
        start = self.root.entries[0][0].location if self.root.entries else self.root.location
        if "unfold" not in self.entries:
            self.problems.add(
                "this file does not state the version of the language",
                start,
                help=f"start it with  unfold: {VERSION}",
            )
        else:
            with self.problems.collect():
                self._check_version(self.entries["unfold"][1])
        in_cell = "cell" in self.entries and "name" not in self.entries
        if "cell" in self.entries and "name" in self.entries:
            self.problems.add(
                "this file has both name: and cell:",
                self.entries["cell"][0].location,
                help="a model has  name:  and a cell has  cell:  ; delete one of them",
            )
        elif "cell" not in self.entries and "name" not in self.entries:
            self.problems.add(
                "this file has no name",
                start,
                help="write  name: my-model,  or  cell: my_cell  for a cell",
            )
        for key in ("nodes", *(("output",) if in_cell else ())):
            if key not in self.entries and not self._is_misspelt(key):
                self.problems.add(
                    f"this {'cell' if in_cell else 'spec'} has no {key}",
                    start,
                    help="write  output: h[t]"
                    if key == "output"
                    else "write  nodes:  and below it equations such as  h[t]: tanh(W @ h[t-1])",
                )
        self._refuse_misplaced(in_cell)
        return in_cell

    def _is_misspelt(self, key: str) -> bool:
        """Tell whether some unknown key was probably meant to be this one."""
        unknown = [k.value for k, _ in self.root.entries if k.value not in SECTIONS]
        return any(closest(written, SECTIONS) == key for written in unknown[:MAX_REPORTED])

    def _refuse_misplaced(self, in_cell: bool) -> None:
        for key, (written, _) in self.entries.items():
            section = SECTIONS[key]
            if in_cell and not section.in_cell:
                self.problems.add(
                    f"a cell has no section {key}",
                    written.location,
                    help="delete it, or move it into the spec that uses the cell",
                )
            elif not in_cell and not section.in_spec and key != "cell":
                self.problems.add(
                    f"a model has no section {key}",
                    written.location,
                    help="did you mean outputs?",
                )

    def _check_version(self, node: Node) -> None:
        version = scalar_value(node) if isinstance(node, Text) else None
        if isinstance(version, int) and not isinstance(version, bool):
            if version != VERSION:
                raise fail(
                    f"this file uses version {version} of the language, but this program reads "
                    f"version {VERSION}",
                    node.location,
                    help=f"write  unfold: {VERSION}  or install a newer unfold",
                )
            return
        found = node.value if isinstance(node, Text) and node.value else kind_of(node)
        raise fail(
            f"unfold: expected the version {VERSION}, got {found[:40]}",
            node.location,
            help=f"write  unfold: {VERSION}",
        )

    def _name(self, node: Node) -> str:
        text = expect_text(node, "name", "the name of the model", "name: my-model")
        if not _MODEL_NAME.fullmatch(text.value):
            raise fail(
                "name: this cannot name a model, because folders are named after it",
                text.location,
                help="use letters, digits, and _ - . inside; at most 100 characters",
            )
        return text.value

    def _cell(self, node: Node) -> str:
        text = expect_text(node, "cell", "the name of the cell", "cell: my_cell")
        return check_name(text.span())


def _about(node: Node) -> str:
    return expect_text(node, "about", "a sentence", "about: a description").value


def _check_duplicates(spec: Spec, problems: Problems) -> None:
    """Report names that are defined more than once, in any sections."""
    defined: list[tuple[str, str, Span]] = [
        *((a.name, "an axis", a.at) for a in spec.axes),
        *((s.name, "a size", s.at) for s in spec.sizes),
        *((i.target.name, "an input", i.target.name_at) for i in spec.inputs),
        *((p.target.name, "a parameter", p.target.name_at) for p in spec.parameters),
        *((t.name, "a node", t.name_at) for equation in spec.nodes for t in equation.targets),
    ]
    defined.sort(key=lambda entry: entry[2].text.offsets[entry[2].start])
    first: dict[str, tuple[str, Span]] = {}
    for name, kind, at in defined:
        earlier_kind, earlier = first.setdefault(name, (kind, at))
        if earlier is not at:
            problems.add(
                f"{name} is defined twice",
                at.location,
                f"first defined as {earlier_kind} at {earlier.location}",
                help="rename one of them",
            )
