"""YAML text becomes nodes whose every character knows its place, and hostile files are refused.

The values of scalars are compared with PyYAML's own; that is the oracle for folding and escapes.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.work import work
from unfold.errors import SpecError
from unfold.spec.text.problems import Problems
from unfold.spec.text.reader import (
    MAX_CHARACTERS,
    ListNode,
    MapNode,
    Node,
    decode,
    read,
    read_file,
    scalar_value,
)
from unfold.spec.text.scalars import STAND_IN, mask_brackets
from unfold.spec.text.text import SourceText, Text


def scalars(node: Node) -> Iterator[Text]:
    """Yield keys and values in the order of the file."""
    match node:
        case MapNode(entries=entries):
            for key, value in entries:
                yield key
                yield from scalars(value)
        case ListNode(items=items):
            for item in items:
                yield from scalars(item)
        case Text():
            yield node


def tree(node: Node) -> object:
    match node:
        case MapNode(entries=entries):
            return {key.value: tree(value) for key, value in entries}
        case ListNode(items=items):
            return [tree(item) for item in items]
        case Text():
            return scalar_value(node)


def message(text: str) -> str:
    """Return what is said about a text that is refused, the excerpt included."""
    with pytest.raises(SpecError) as caught:
        read(text, "f.yaml")
    return str(caught.value)


def last_scalar(text: str) -> Text:
    *_, last = scalars(read(text, "f.yaml"))
    return last


# ------------------------------------------------------------------ places of characters

STYLES = {
    "plain": ("z[t]: W @ h[t-1] + b\n", "W @ h[t-1] + b"),
    "plain over lines": ("z:\n  W @ h[t-1]\n    + U @\n  x[t]\n", "W @ h[t-1] + U @ x[t]"),
    "single quotes": ("z: 'W @ h'\n", "W @ h"),
    "single with a quote": ("z: 'it''s h''' # no\n", "it's h'"),
    "single over lines": ("z: 'W @\n\n   h[t] \n  + b'\n", "W @\nh[t] + b"),
    "double quotes": ('z: "W @ h"\n', "W @ h"),
    "double with escapes": ('z: "a\\tb \\"c\\" \\u03b1 \\x41"\n', 'a\tb "c" \u03b1 A'),
    "double over lines": ('z: "W @\n    h[t] \\\n    + b\n\n  + c"\n', "W @ h[t] + b\n+ c"),
    "literal": ("z: |\n  W @ h\n    + b\n\n  + c\nq: 1\n", "W @ h\n  + b\n\n+ c\n"),
    "literal stripped": ("z: |-\n   W @ h\n   + b\n", "W @ h\n+ b"),
    "literal indented": ("z: |2\n    W @ h\n  + b\n", "  W @ h\n+ b\n"),
    "literal kept": ("z: |+\n  W\n\n\n", "W\n\n\n"),
    "folded": ("z: >\n  W @ h[t-1]\n  + U @ x[t]\n\n  + b\nq: 1\n", "W @ h[t-1] + U @ x[t]\n+ b\n"),
    "folded more indented": ("z: >-\n  a\n    b\n  c\n", "a\n  b\nc"),
    "Windows lines": ("z: >-\r\n  W @\r\n  h\r\nq: 1\r\n", "W @ h"),
    "after Greek letters": ("\u03b1\u03b2: \u03b3 + h[t]\n", "\u03b3 + h[t]"),
    "in a flow mapping": ("a: {z: W @ h[t, s], q: 1}\n", "W @ h[t, s]"),
}


@pytest.mark.parametrize("name", STYLES)
def test_every_character_maps_to_itself_in_the_file(name: str) -> None:
    file, value = STYLES[name]
    text = next(scalar for scalar in scalars(read(file, "f.yaml")) if scalar.value == value)
    lines = file.replace("\r\n", "\n").split("\n")
    for at, character in enumerate(value):
        place = text.locate(at, at + 1)
        written = (lines[place.line - 1] + "\n")[place.column - 1]
        folded = character == " " and written in " \n"
        escaped = written == "\\"
        assert written == character or folded or escaped, (name, at, character, written)
        assert escaped or character.isspace() or written == character


def test_a_piece_of_a_folded_scalar_is_marked_on_its_own_line() -> None:
    text = last_scalar("nodes:\n  z[t]: >\n    W @ h[t-1]\n    + U @ x[t]\n")
    at = text.value.index("U @")
    place = text.locate(at, at + len("U @ x[t]"))
    assert (place.line, place.column, place.length) == (4, 7, 8)
    assert place.excerpt() == "    4 |     + U @ x[t]\n      |       ^^^^^^^^"


def test_a_piece_over_two_lines_is_cut_at_the_end_of_the_first() -> None:
    text = last_scalar("z:\n  a +\n  bcd\n")
    place = text.locate(0, len(text.value))
    assert (place.line, place.column, place.length) == (2, 3, 3)


def test_an_empty_value_is_after_its_colon_and_an_empty_quote_is_marked_whole() -> None:
    assert str(last_scalar("ab:\nc: 1\n").location) == "f.yaml:2:4"
    key, value, *_ = scalars(read("ab:\nc: 1\n", "f.yaml"))
    assert (key.value, value.value, str(value.location)) == ("ab", "", "f.yaml:1:4")
    place = last_scalar("ab: ''\n").location
    assert (place.column, place.length) == (5, 2)


PIECES = [
    "a", "b[t]", "f(x, y)", " ", "  ", "\n", "\n  ", "\n   ", "\n\n  ", "'", "''", '"', "\\", "\\n",
    "\\\n", "\u00e9", "\r\n  ", "-", "#", ": ", ",", "\\x41", "\\ ", "\t",
]  # fmt: skip
HEADS = [
    "k: ",
    "k:\n  ",
    "k: |\n  ",
    "k: >\n  ",
    "k: >-\n  ",
    "k: |+\n  ",
    "k: |2\n  ",
    'k: "',
    "k: '",
]


@settings(max_examples=200)
@given(st.sampled_from(HEADS), st.lists(st.sampled_from(PIECES), max_size=14), st.booleans())
def test_values_are_those_of_pyyaml(head: str, pieces: list[str], more: bool) -> None:
    closing = head[-1] if head[-1] in "'\"" else ""
    file = head + "".join(pieces) + closing + ("\nz: 1\n" if more else "")
    try:
        found = list(scalars(read(file, "f.yaml")))
    except SpecError:
        return
    events = yaml.parse(file, Loader=yaml.SafeLoader)
    wanted = [event.value for event in events if isinstance(event, yaml.ScalarEvent)]
    assert [text.value for text in found] == wanted
    for text in found:
        assert len(text.offsets) == len(text.value) + 1
        assert all(a <= b for a, b in zip(text.offsets, text.offsets[1:], strict=False))
        for character, offset in zip(text.value, text.offsets, strict=False):
            written = file[offset]
            assert written == character or written == "\\" or character in " \n"


# ------------------------------------------------------------------ brackets inside { }


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("initial: {s[l]: s[t-1, last], s[t]: zeros}",
         {"initial": {"s[l]": "s[t-1, last]", "s[t]": "zeros"}}),
        ("l: {is: lstm(x[t], hidden=64), stack: 3}",
         {"l": {"is": "lstm(x[t], hidden=64)", "stack": 3}}),
        ("W: {shape: [4*hidden, hidden], init: orthogonal}",
         {"W": {"shape": ["4*hidden", "hidden"], "init": "orthogonal"}}),
        ("o: [f(a, [1, 2])[t, s], [1, 2], l1.s[t]]",
         {"o": ["f(a, [1, 2])[t, s]", [1, 2], "l1.s[t]"]}),
        ("m: {a: \"x[0, (1\", b: 'y(', c: [z, 1]}",
         {"m": {"a": "x[0, (1", "b": "y(", "c": ["z", 1]}}),
        ("m: {a: einsum(\"ij,j->i\", W, x[t]), b: 1}",
         {"m": {"a": 'einsum("ij,j->i", W, x[t])', "b": 1}}),
        ("a: x[0, 1) and (2, 3]\nb: [1, 2]", {"a": "x[0, 1) and (2, 3]", "b": [1, 2]}),
        ("a: [x_1[t], \u03b1[t, s]]", {"a": ["x_1[t]", "\u03b1[t, s]"]}),
    ],
)  # fmt: skip
def test_indices_and_calls_need_no_quotes(text: str, wanted: object) -> None:
    assert tree(read(text, "f.yaml")) == wanted


def test_masking_keeps_every_other_character_and_the_length() -> None:
    text = "a: {s[l]: f(x, [1]), b: [1, {c: 2}]}"
    masked = mask_brackets(text)
    assert masked.replace(STAND_IN, "?") == "a: {s?l?: f(x? ?1?), b: [1, {c: 2}]}"
    assert len(masked) == len(text)


def test_plain_values() -> None:
    text = "[1, -2, 1_000, 1e-3, .5, 1., .inf, true, false, null, ~, yes, no, on, 2024-01-01, '1']"
    assert tree(read(text, "f")) == [
        1, -2, 1000, 0.001, 0.5, 1.0, float("inf"), True, False, None, None,
        "yes", "no", "on", "2024-01-01", "1",
    ]  # fmt: skip


# ------------------------------------------------------------------ refusals

REFUSED = {
    "a: 1\na: 2\n": "f.yaml:2:1: the key a is given twice",
    "a: &x 1": "f.yaml:1:4: the YAML anchor &x is not allowed in a spec",
    "a: *x": "f.yaml:1:4: the YAML alias *x is not allowed in a spec",
    "a: !!python/object/apply:os.system ['true']":
        "f.yaml:1:4: the YAML tag !!python/object/apply:os.system is not allowed in a spec",
    "a: !f 1": "f.yaml:1:4: the YAML tag !f is not allowed in a spec",
    "b: 1\n<<: {a: 1}": "f.yaml:2:1: the YAML merge key << is not allowed in a spec",
    "a: 1\n---\nb: 2": "f.yaml:2:1: a second document starts here, but a spec file holds one",
    "": "f.yaml:1:1: this file is empty",
    "# nothing\n": "f.yaml:1:1: this file is empty",
    "[a]: 3": "f.yaml:1:1: a key must be a name, found a list or mapping",
    "? {a: 1}\n: 2": "f.yaml:1:3: a key must be a name, found a list or mapping",
    "a: b\x07c": "f.yaml:1:5: the character U+0007 cannot be printed, and is not allowed here",
    "a: b\x00c": "f.yaml:1:5: the character U+0000 cannot be printed, and is not allowed here",
    "a: \u202eb": "f.yaml:1:4: the character U+202E cannot be printed, and is not allowed here",
    'a: "b\\e[31m"': "f.yaml:1:6: this escape is the character U+001B, which cannot be printed",
    'a: "\\UFFFFFFFF"': "f.yaml:1:7: this escape is not a character",
    'a: "\\q"': "f.yaml:1:6: this escape is unknown",
    'a: "\\u12"': "f.yaml:1:7: this escape is incomplete",
    "a:\n\tb: 1": "f.yaml:2:1: this line contains a tab, but YAML is indented with spaces",
    "a: 'b\n": "f.yaml:1:4: this quote is never closed",
    "a: 'b' c": "f.yaml:1:8: text follows a closing quote",
    "a: {b: 1\nc: 2\n":
        "f.yaml:1:4: this { is not closed, or a comma is missing between its entries",
    "a: [b, c\n": "f.yaml:1:4: this [ is not closed, or a comma is missing between its entries",
    "a: {b: 1]\n": "f.yaml:1:9: a comma or } was expected here",
    "a: {x [t]: 1}\n": "f.yaml:1:7: a comma or } was expected here",
    "a: [b}": "f.yaml:1:6: a comma or ] was expected here",
    "a:1\nb: 2": "f.yaml:1:2: a space is missing after this colon",
    "a: b: c": "f.yaml:1:5: unexpected colon: this line already has one, or continues "
        "the text above",
    "a: 1\nfoo\nb: 2": "f.yaml:2:1: this line is neither  key: value  nor the indented "
        "continuation of the line above",
    "a:\n  b: 1\n c: 2\n": "f.yaml:3:2: this line does not fit the indentation above it",
    "a: - b": "f.yaml:1:4: a list cannot start here",
    "a: @b": "f.yaml:1:4: a key or value cannot start with @",
    "a: `b`": "f.yaml:1:4: a key or value cannot start with `",
    "%b": "f.yaml:1:1: a line cannot start with % (in YAML this is a directive)",
    "a: | b\n": "f.yaml:1:6: the text after | or > starts on the next line",
}  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_refusals_say_where_and_what(text: str) -> None:
    assert message(text).split("\n")[0] == REFUSED[text]


def test_a_duplicate_key_names_the_first_and_keeps_it() -> None:
    problems = Problems()
    root = read("a: 1\nb: 2\na: 3\n", "f.yaml", problems)
    assert tree(root) == {"a": 1, "b": 2}
    with pytest.raises(SpecError) as caught:
        problems.raise_if_any()
    assert str(caught.value) == (
        "f.yaml:3:1: the key a is given twice\n"
        "    3 | a: 3\n"
        "      | ^\n"
        "  first given at f.yaml:1:1\n"
        "  help: delete one of them, or rename it"
    )


def test_a_flow_mapping_that_breaks_says_what_to_do() -> None:
    assert "put names with brackets into quotes or use an indented block" in message(
        "a: {x [t]: 1}"
    )
    assert "help: write  h[t]: tanh(x)" in message("h[t]:tanh(x)\nb: 2\n")


def test_a_control_character_is_not_echoed() -> None:
    assert "\x1b" not in message("a: \x1b[31mred")


BOMB = "a: &a [x, x]\n" + "".join(
    f"{c}: &{c} [*{p}, *{p}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True)
)
HOSTILE = {
    "alias bomb": (BOMB, "f.yaml:1:4: the YAML anchor &a is not allowed in a spec"),
    "deep flow": ("a: " + "[" * 400_000, "f.yaml:1:67: lists and mappings are nested more than 64"),
    "deeper than the file may be": ("[" * 1_000_000, "f.yaml: a spec file has at most 500,000"),
    "deep block": ("- " * 200_000, "f.yaml:1:129: lists and mappings are nested more than 64"),
    "deep maps": ("{a: " * 100_000, "f.yaml:1:257: lists and mappings are nested more than 64"),
    "huge": ("a: " + "x" * 10_000_000, "f.yaml: a spec file has at most 500,000 characters"),
    "long scalar": ("a: " + "x" * 400_000, "f.yaml:1:4: this text has 400,000 characters"),
    "many lines": ("a: " + "w\n " * 160_000, "f.yaml:1:1: this file has more than 20,000 lines"),
    "many values": ("a: [" + "1," * 90_000 + "1]", "f.yaml:1:40001: this file has more than"),
    "open brackets": ("a: " + "x[" * 200_000, "f.yaml:1:4: this text has 400,000 characters"),
    "nested brackets": (
        "a: " + "(" * 200_000 + ")" * 200_000, "f.yaml:1:4: this text has 400,000 characters"
    ),
    "quotes": (" \"'" * 150_000, "f.yaml:1:6: "),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_quickly(name: str) -> None:
    text, wanted = HOSTILE[name]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with work(5_000_000):
        said = message(text)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert said.startswith(wanted)
    assert len(said) < 2000
    assert grown < 200_000, grown


# ------------------------------------------------------------------ bytes and files


def test_bytes_that_are_not_utf_8_are_located() -> None:
    with pytest.raises(SpecError) as caught:
        decode(b"a: 1\nbc: \xff\n", "f.yaml")
    assert str(caught.value).startswith(
        "f.yaml:2:5: this file is not UTF-8 text: byte 0xff cannot be read\n    2 | bc: "
    )


def test_files_that_cannot_be_read(tmp_path: object) -> None:
    with pytest.raises(SpecError, match=r"cannot open this file: no such file or directory"):
        read_file(f"{tmp_path}/none.yaml")
    with pytest.raises(SpecError, match=r"cannot open this file: is a directory"):
        read_file(str(tmp_path))


def test_a_file_is_read(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("files") / "a.yaml"
    path.write_text("\ufeffa: \u03b1\n", encoding="utf-8")
    assert tree(read(read_file(str(path)), "a.yaml")) == {"a": "\u03b1"}
    path.write_bytes(b"#" * (4 * MAX_CHARACTERS + 1))
    with pytest.raises(SpecError, match="at most 500,000 characters"):
        read_file(str(path))


def test_lines_of_a_source() -> None:
    source = SourceText("f", "a\nbc\r\nd\re")
    assert [source.line(number) for number in (0, 1, 2, 3, 4, 5)] == ["", "a", "bc", "d", "e", ""]
    assert [str(source.locate(at)) for at in (0, 2, 3, 6, 8)] == [
        "f:1:1",
        "f:2:1",
        "f:2:2",
        "f:3:1",
        "f:4:1",
    ]
