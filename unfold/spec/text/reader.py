"""Read YAML text into nodes that know their place; refuse everything that a spec does not use.

In: the text of one file. Out: `MapNode`, `ListNode` and `Text` (a scalar). Nothing is constructed:
no tags, no anchors, no numbers, no dates; `scalar_value` reads a scalar as a plain Python value
where a section wants one. The nodes are made from parser events with a stack of our own, so that
depth costs no recursion and is refused early. A file is small, shallow and has few nodes, or it is
refused.

    {a: [1, b]}   is   MapNode(entries=((Text("a"), ListNode(items=(Text("1"), Text("b")))),))

Known weakness: YAML errors end the reading, so a file with two of them gets one report at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.scanner import Scanner

from unfold.errors import Diagnostic, Location, SpecError
from unfold.spec.text.problems import Problems, fail
from unfold.spec.text.scalars import mask_brackets, place_scalar
from unfold.spec.text.text import SourceText, Text
from unfold.spec.text.yaml_help import explain_yaml_error

MAX_CHARACTERS = 500_000
MAX_LINES = 20_000
MAX_SCALAR = 64_000
MAX_DEPTH = 64
MAX_NODES = 20_000
_TABLE_HELP = "put large tables of numbers into a separate file: init: {file: weights.safetensors}"

_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"
    "\ud800-\udfff\ufffe\uffff]|(?<!^)\ufeff"
)


@dataclass(frozen=True, eq=False)
class ListNode:
    """A YAML sequence."""

    items: tuple[Node, ...]
    location: Location


@dataclass(frozen=True, eq=False)
class MapNode:
    """A YAML mapping, in the order of the file, without duplicate keys."""

    entries: tuple[tuple[Text, Node], ...]
    location: Location

    def get(self, key: str) -> Node | None:
        """Return the value of `key`, or None if it is missing."""
        return next((value for name, value in self.entries if name.value == key), None)


Node = MapNode | ListNode | Text


class _Events(Reader, Scanner, Parser):
    """PyYAML's event parser alone: it has no composer, resolver or constructor."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)


@dataclass
class _Open:
    """A mapping or sequence that is being read."""

    is_map: bool
    start: int
    items: list[Node] = field(default_factory=list)
    keys: list[Text] = field(default_factory=list)
    seen: dict[str, Text] = field(default_factory=dict)
    pending: Text | None = None
    pending_is_duplicate: bool = False


def read_file(path: str) -> str:
    """Return the text of a spec file.

    Raises:
        SpecError: the file is not there, is a folder, is too large or is not UTF-8.
    """
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(4 * MAX_CHARACTERS + 1)
    except OSError as error:
        reason = error.strerror or "cannot be read"
        raise SpecError(Diagnostic(f"{path}: cannot open this file: {reason.lower()}")) from None
    if len(data) > 4 * MAX_CHARACTERS:
        raise SpecError(_too_large(path))
    return decode(data, path)


def decode(data: bytes, file: str) -> str:
    """Return the text of a file's bytes, which must be UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8")
        rest = data[error.start :].split(b"\n")[0].decode("utf-8", "replace")
        raise fail(
            f"this file is not UTF-8 text: byte 0x{data[error.start]:02x} cannot be read",
            SourceText(file, before + rest).locate(len(before)),
            help="save the file with the encoding UTF-8",
        ) from None


def read(text: str, file: str, problems: Problems | None = None) -> Node:
    """Return the nodes of a YAML text.

    Arguments:
        text: the whole file.
        file: its path as the user wrote it, for locations.
        problems: records duplicate keys (the first one is kept); without it they are raised.

    Raises:
        SpecError: the text is not the YAML that a spec may use.
    """
    source = SourceText(file, text)
    found = Problems() if problems is None else problems
    _refuse_unreadable(source)
    events = _Events(mask_brackets(text))
    try:
        root = _build(events, source, found)
    except yaml.YAMLError as error:
        raise SpecError(explain_yaml_error(error, source)) from None
    except (ValueError, OverflowError):
        place = source.locate(events.index)
        raise fail("this escape is not a character", place, help="write the character") from None
    finally:
        events.dispose()
    if problems is None:
        found.raise_if_any()
    return root


def _too_large(file: str) -> Diagnostic:
    return Diagnostic(
        f"{file}: a spec file has at most {MAX_CHARACTERS:,} characters, but this one has more",
        help=_TABLE_HELP,
    )


def _refuse_unreadable(source: SourceText) -> None:
    if len(source.text) > MAX_CHARACTERS:
        raise SpecError(_too_large(source.name))
    if source.text.count("\n") + source.text.count("\r") > MAX_LINES:
        raise fail(f"this file has more than {MAX_LINES:,} lines", source.locate(0))
    found = _UNPRINTABLE.search(source.text)
    if found:
        raise fail(
            f"the character U+{ord(found.group()):04X} cannot be printed, and is not allowed here",
            _without_controls(source.locate(found.start())),
            help="delete it; is this a text file?",
        )


def _without_controls(location: Location) -> Location:
    """Return the location with its source line made safe for a terminal."""
    shown = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", location.source)
    return Location(location.file, location.line, location.column, location.length, shown)


def _build(events: _Events, source: SourceText, problems: Problems) -> Node:
    """Turn parser events into nodes, without recursion."""
    root: Node | None = None
    stack: list[_Open] = []
    for count, event in enumerate(_checked(events, source)):
        if count > MAX_NODES:
            raise fail(
                f"this file has more than {MAX_NODES:,} values",
                source.locate(_place(event)[0]),
                help=_TABLE_HELP,
            )
        node: Node
        if isinstance(event, yaml.ScalarEvent):
            node = _scalar(event, source)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            is_map = isinstance(event, yaml.MappingStartEvent)
            _refuse_depth_and_keys(stack, event, source)
            stack.append(_Open(is_map, _place(event)[0]))
            continue
        else:
            node = _close(stack.pop(), source)
        if not stack:
            root = node
        else:
            _put(stack[-1], node, problems)
    if root is None:
        raise fail("this file is empty", source.locate(0), help="a spec starts with  unfold: 1")
    return root


def _checked(events: _Events, source: SourceText) -> Iterator[yaml.Event]:
    """Yield the events that make nodes; refuse tags, anchors, aliases and a second document."""
    documents = 0
    while events.check_event():
        event = events.get_event()
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise fail(
                    "a second document starts here, but a spec file holds one",
                    source.locate(*_place(event)),
                    help="put it into a separate file",
                )
        elif isinstance(event, yaml.NodeEvent):
            _refuse_anchor_or_tag(event, source)
            yield event
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            yield event


def _place(event: yaml.Event) -> tuple[int, int]:
    """Return the offsets at which an event starts and ends in the file."""
    assert event.start_mark is not None and event.end_mark is not None, event
    return event.start_mark.index, event.end_mark.index


def _refuse_anchor_or_tag(event: yaml.NodeEvent, source: SourceText) -> None:
    start, end = _place(event)
    if isinstance(event, yaml.AliasEvent):
        raise fail(
            f"the YAML alias {source.text[start:end]} is not allowed in a spec",
            source.locate(start, end),
            help="write out the value; a text that starts with * needs quotes",
        )
    if event.anchor is not None:
        raise fail(
            f"the YAML anchor &{event.anchor} is not allowed in a spec",
            source.locate(start, start + len(event.anchor) + 1),
            help="delete it; a text that starts with & needs quotes",
        )
    if getattr(event, "tag", None) is not None:
        written = re.compile(r"!\S*").match(source.text, start)
        end = written.end() if written else start + 1
        raise fail(
            f"the YAML tag {source.text[start : min(end, start + 60)]} is not allowed in a spec",
            source.locate(start, end),
            help="delete it; a text that starts with ! needs quotes",
        )


def _refuse_depth_and_keys(stack: list[_Open], event: yaml.NodeEvent, source: SourceText) -> None:
    start, end = _place(event)
    if len(stack) >= MAX_DEPTH:
        raise fail(
            f"lists and mappings are nested more than {MAX_DEPTH} deep here", source.locate(start)
        )
    if stack and stack[-1].is_map and stack[-1].pending is None:
        raise fail(
            "a key must be a name, found a list or mapping",
            source.locate(start, end),
            help="a list as a value starts on the key's line or is indented below it",
        )


def _scalar(event: yaml.ScalarEvent, source: SourceText) -> Text:
    start, end = _place(event)
    if end - start > MAX_SCALAR:
        raise fail(
            f"this text has {end - start:,} characters, but a value may have at most "
            f"{MAX_SCALAR:,}",
            source.locate(start),
        )
    text = place_scalar(event.value, event.style, start, end, source)
    found = _UNPRINTABLE.search(text.value)
    if found:
        raise fail(
            f"this escape is the character U+{ord(found.group()):04X}, which cannot be printed",
            text.locate(found.start()),
        )
    return text


def _put(parent: _Open, node: Node, problems: Problems) -> None:
    """Add a finished node to the mapping or sequence it stands in."""
    if not parent.is_map:
        parent.items.append(node)
    elif parent.pending is None:
        assert isinstance(node, Text), node
        if node.value == "<<" and not node.quoted:
            raise fail(
                "the YAML merge key << is not allowed in a spec",
                node.location,
                help="write out the entries",
            )
        first = parent.seen.setdefault(node.value, node)
        parent.pending, parent.pending_is_duplicate = node, first is not node
        if first is not node:
            problems.add(
                f"the key {node.value or '(empty)'} is given twice",
                node.location,
                f"first given at {first.location}",
                help="delete one of them, or rename it",
            )
    else:
        if not parent.pending_is_duplicate:
            parent.keys.append(parent.pending)
            parent.items.append(node)
        parent.pending = None


def _close(done: _Open, source: SourceText) -> Node:
    location = source.locate(done.start)
    if done.is_map:
        return MapNode(tuple(zip(done.keys, done.items, strict=True)), location)
    return ListNode(tuple(done.items), location)


_INTEGER = re.compile(r"[-+]?[0-9]+(?:_[0-9]+)*")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_LONGEST_NUMBER = 40
_WORDS: dict[str, bool | float | None] = {
    "true": True, "True": True, "false": False, "False": False,
    "null": None, "~": None, "": None,
    ".inf": float("inf"), "-.inf": float("-inf"), ".nan": float("nan"),
}  # fmt: skip


def scalar_value(text: Text) -> str | int | float | bool | None:
    """Return a scalar as a plain value: quoted is a string, and so are `yes`, `no` and dates."""
    value = text.value
    if text.quoted:
        return value
    if value in _WORDS:
        return _WORDS[value]
    if len(value) > _LONGEST_NUMBER:
        return value
    if _INTEGER.fullmatch(value):
        return int(value)
    if _FLOAT.fullmatch(value):
        return float(value)
    return value


def is_null(node: Node) -> bool:
    """Tell whether a value is empty (`key:` alone, `null` or `~`)."""
    return isinstance(node, Text) and not node.quoted and node.value in ("", "null", "~")


def kind_of(node: Node) -> str:
    """Return the kind of a node in words, for messages."""
    if isinstance(node, MapNode):
        return "a mapping"
    if isinstance(node, ListNode):
        return "a list"
    if is_null(node):
        return "nothing"
    return "a text" if isinstance(scalar_value(node), str) else "a number"
