"""A spec file becomes a `Spec` with everything in it, or all its mistakes, each said once."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.work import work
from unfold.errors import SpecError
from unfold.spec.file.model import Init, LeftSide, Spec
from unfold.spec.file.sections import parse_spec, parse_spec_partly
from unfold.spec.text.expression import Call, Name, Number, Reference
from unfold.spec.text.problems import MAX_REPORTED, Problems
from unfold.spec.text.suggest import closest, did_you_mean, listing

ROOT = Path(__file__).parent.parent
EXAMPLE = """\
unfold: 1
name: char-lstm
about: Character language model, one LSTM layer (Hochreiter & Schmidhuber 1997).

axes:   {t: 50}                       # default extent of each index axis
sizes:  {vocab: 65, hidden: 128}      # named dimensions

inputs:
  x[t]: {category: vocab}
  y[t]: {category: vocab}
parameters:
  W: {shape: [4*hidden, hidden], init: orthogonal}
  U: {shape: [4*hidden, vocab]}
  b: [4*hidden]
  V: [vocab, hidden]
  c: [vocab]
nodes:
  z[t]: W @ h[t-1] + U @ x[t] + b
  i[t], f[t], o[t], g[t]: split(z[t], 4)
  s[t]: sigmoid(f[t]) * s[t-1] + sigmoid(i[t]) * tanh(g[t])
  h[t]: sigmoid(o[t]) * tanh(s[t])
  logits[t]: V @ h[t] + c
initial:
  h: zeros
  s: learned
loss: mean[t](cross_entropy(logits[t], y[t]))
"""
HEAD = "unfold: 1\nname: m\n"
NODES = "nodes:\n  h[t]: h[t-1] + 1\n"


def parse(text: str) -> Spec:
    return parse_spec(text, "s.yaml")


def mistakes(text: str) -> list[str]:
    """Return the first line of every diagnostic, in order."""
    with pytest.raises(SpecError) as caught:
        parse(text)
    return [str(diagnostic).split("\n")[0] for diagnostic in caught.value.diagnostics]


# ------------------------------------------------------------------ what is read


def test_the_example_of_the_design() -> None:
    spec = parse(EXAMPLE)
    assert (spec.kind, spec.file, spec.name) == ("spec", "s.yaml", "char-lstm")
    assert spec.about.startswith("Character language model")
    assert [(a.name, a.extent) for a in spec.axes] == [("t", Number(50, spec.axes[0].at))]
    assert [s.name for s in spec.sizes] == ["vocab", "hidden"]
    assert [(str(i.target.at), i.category is not None, i.shape) for i in spec.inputs] == [
        ("x[t]", True, ()), ("y[t]", True, ()),
    ]  # fmt: skip
    assert [[str(e.at) for e in p.shape] for p in spec.parameters] == [
        ["4*hidden", "hidden"], ["4*hidden", "vocab"], ["4*hidden"], ["vocab", "hidden"], ["vocab"],
    ]  # fmt: skip
    first = spec.parameters[0].init
    assert first is not None and (first.kind, first.argument) == ("orthogonal", None)
    assert [p.init for p in spec.parameters[1:]] == [None] * 4
    assert [[str(t.at) for t in e.targets] for e in spec.nodes] == [
        ["z[t]"], ["i[t]", "f[t]", "o[t]", "g[t]"], ["s[t]"], ["h[t]"], ["logits[t]"],
    ]  # fmt: skip
    assert [(i.name, i.kind, i.axis) for i in spec.initial] == [
        ("h", "zeros", None), ("s", "learned", None),
    ]  # fmt: skip
    assert isinstance(spec.loss, Call) and spec.loss.function == "mean"
    assert (spec.output, spec.outputs, spec.stop, spec.data, spec.uses) == (
        None,
        (),
        None,
        None,
        (),
    )
    assert str(spec.locate("nodes")) == "s.yaml:17:1"
    assert str(spec.locate("stop")) == "s.yaml:1:1"


def test_targets_know_their_pieces() -> None:
    spec = parse(EXAMPLE)
    target = spec.nodes[1].targets[2]
    assert target == LeftSide("o", (Name("t", target.at),), target.at, target.name_at)
    assert (str(target.at.location), str(target.name_at)) == ("s.yaml:19:15", "o")
    assert target.axis_names == ("t",)
    assert str(spec.nodes[1].at) == "i[t], f[t], o[t], g[t]"


@pytest.mark.parametrize(
    "path",
    sorted([*ROOT.glob("specs/*/*.yaml"), *ROOT.glob("unfold/cells/*.yaml")]),
    ids=lambda p: p.stem,
)
def test_every_shipped_file_is_read(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    with work(200_000):
        parse_spec(text, str(path))


def test_inputs() -> None:
    spec = parse(HEAD + NODES + "inputs:\n  a[t]: {category: n}\n  b[t,s]: [28, n]\n  c: []\n"
                 "  d: real\n  e[t]: {shape: [3]}\n")  # fmt: skip
    assert [
        ([str(s.at) for s in i.shape], i.category and str(i.category.at), i.target.axis_names)
        for i in spec.inputs
    ] == [
        ([], "n", ("t",)), (["28", "n"], None, ("t", "s")), ([], None, ()), ([], None, ()),
        (["3"], None, ("t",)),
    ]  # fmt: skip


def test_inits() -> None:
    text = (
        "parameters:\n"
        "  A: {shape: [2], init: zeros, frozen: true}\n"
        "  B[l]: {shape: [2], init: {normal: 0.01}}\n"
        "  C: {shape: [2, 2], init: {values: [[1, 2.5], [-3, 1e-3]]}}\n"
        "  D: {shape: [], init: {constant: -1}}\n"
        "  E: {shape: [2], init: {file: weights.safetensors}}\n"
    )
    spec = parse(HEAD + NODES + text)
    inits = [p.init for p in spec.parameters]
    assert all(isinstance(init, Init) for init in inits)
    assert [(init.kind, init.argument) for init in inits if init] == [
        ("zeros", None), ("normal", 0.01), ("values", ((1, 2.5), (-3, 0.001))), ("constant", -1),
        ("file", "weights.safetensors"),
    ]  # fmt: skip
    assert [p.frozen for p in spec.parameters] == [True, False, False, False, False]
    assert [p.target.axis_names for p in spec.parameters] == [(), ("l",), (), (), ()]


def test_long_equations() -> None:
    spec = parse(
        HEAD + "nodes:\n"
        "  a[t]: {is: lstm(x[t], hidden=64), stack: 3, reverse: t, share: l1}\n"
        "  b:\n    is: >\n      a[last] +\n      1\n    shape: [n]\n    reverse: [t, s]\n"
    )
    one, two = spec.nodes
    assert isinstance(one.expression, Call) and one.expression.function == "lstm"
    assert one.stack is not None and str(one.stack.at) == "3"
    assert [axis.value for axis in one.reverse] == ["t"]
    assert one.share is not None and one.share.value == "l1"
    assert set(one.options_at) == {"is", "stack", "reverse", "share"}
    assert str(one.options_at["stack"].location) == "s.yaml:4:44"
    assert str(two.expression.at) == "a[last] + 1"
    assert two.shape is not None and [str(s.at) for s in two.shape] == ["n"]
    assert [axis.value for axis in two.reverse] == ["t", "s"]


def test_initial_values() -> None:
    text = (
        "initial: {s[l]: s[t-1, last], s[t]: zeros, l1.s: learned, k: ones, n: 3, d: tanh(M @ C)}\n"
    )
    spec = parse(HEAD + NODES + text)
    assert [(i.name, i.axis.value if i.axis else None, i.kind) for i in spec.initial] == [
        ("s", "l", "expression"), ("s", "t", "zeros"), ("l1.s", None, "learned"),
        ("k", None, "ones"), ("n", None, "expression"), ("d", None, "expression"),
    ]  # fmt: skip
    assert isinstance(spec.initial[0].value, Reference)
    assert str(spec.initial[0].value_at) == "s[t-1, last]"
    assert spec.initial[1].value is None


def test_axes_without_extents_stop_and_outputs() -> None:
    spec = parse(
        HEAD + NODES + "axes: {t: , u: t // 2}\noutputs: [h, l1.s[last]]\n"
        "stop: {when: h[t] > 3, at_most: 2*n, extent: {u: argmax(h[last])}}\n"
    )
    assert [(a.name, str(a.extent.at) if a.extent else None) for a in spec.axes] == [
        ("t", None), ("u", "t // 2"),
    ]  # fmt: skip
    assert [(o.name, o.indices is None) for o in spec.outputs] == [("h", True), ("l1.s", False)]
    assert spec.stop is not None and spec.stop.when is not None and spec.stop.at_most is not None
    assert [(axis.value, str(value.at)) for axis, value in spec.stop.extent] == [
        ("u", "argmax(h[last])")
    ]
    assert [o.name for o in parse(HEAD + NODES + "outputs: h\n").outputs] == ["h"]


def test_a_cell() -> None:
    spec = parse("unfold: 1\ncell: rnn\naxes: [t]\nsizes:\n  hidden: 128\n  features:\n"
                 "inputs: {x[t]: [features]}\nuse: {lstm: cells/lstm.yaml}\n"
                 + NODES + "output: h[t]\n")  # fmt: skip
    assert (spec.kind, spec.name) == ("cell", "rnn")
    assert [(a.name, a.extent) for a in spec.axes] == [("t", None)]
    assert [(s.name, s.value is None) for s in spec.sizes] == [
        ("hidden", False),
        ("features", True),
    ]
    assert [(u.name, u.path, str(u.path_at.location)) for u in spec.uses] == [
        ("lstm", "cells/lstm.yaml", "s.yaml:8:13")
    ]
    assert isinstance(spec.output, Reference)
    assert (spec.output.name, str(spec.output.at)) == ("h", "h[t]")


def test_settings_are_plain_values_with_places() -> None:
    spec = parse(HEAD + NODES + "train:\n  steps: 300\n  optimizer: {adam: {rate: 1e-3}}\n"
                 "  list: [a, {b: true}]\n  none:\ndata:\n")  # fmt: skip
    assert spec.train is not None and spec.data is not None
    assert spec.train.tree == {
        "steps": 300, "optimizer": {"adam": {"rate": 0.001}}, "list": ["a", {"b": True}],
        "none": None,
    }  # fmt: skip
    assert spec.data.tree == {}
    places = {
        ("steps",): "s.yaml:6:10",
        ("optimizer", "adam", "rate"): "s.yaml:7:28",
        ("optimizer", "adam", "beta"): "s.yaml:7:21",
        ("list", 1, "b"): "s.yaml:8:17",
        ("list", 7): "s.yaml:8:9",
        ("none",): "s.yaml:9:3",
        ("nothing",): "s.yaml:6:3",
    }
    assert {path: str(spec.train.locate(path)) for path in places} == places
    assert str(spec.train.locate_key(("optimizer", "adam", "rate"))) == "s.yaml:7:22"
    assert str(spec.train.locate_key(("nothing",))) == "s.yaml:5:1"
    assert str(spec.data.locate(())) == "s.yaml:10:6"


# ------------------------------------------------------------------ mistakes

WHOLE = {
    "- a\n": ["s.yaml:1:1: a spec is a mapping of sections, but this file is a list"],
    "3\n": ["s.yaml:1:1: a spec is a mapping of sections, but this file is a number"],
    "name: m\n" + NODES:
        ["s.yaml:1:1: this file does not state the version of the language"],
    "unfold: 2\nname: m\n" + NODES:
        ["s.yaml:1:9: this file uses version 2 of the language, but this program reads version 1"],
    "unfold: one\nname: m\n" + NODES: ["s.yaml:1:9: unfold: expected the version 1, got one"],
    "unfold:\nname: m\n" + NODES: ["s.yaml:1:8: unfold: expected the version 1, got nothing"],
    "unfold: 1\n" + NODES: ["s.yaml:1:1: this file has no name"],
    "unfold: 1\nname: m\ncell: c\n" + NODES: ["s.yaml:3:1: this file has both name: and cell:"],
    "unfold: 1\nname: ../../etc\n" + NODES:
        ["s.yaml:2:7: name: this cannot name a model, because folders are named after it"],
    "unfold: 1\nname: [a]\n" + NODES:
        ["s.yaml:2:7: name: expected the name of the model, got a list"],
    "unfold: 1\ncell: my-cell\noutput: h[t]\n" + NODES: ["s.yaml:2:7: my-cell is not a name"],
    "unfold: 1\ncell: c\n" + NODES: ["s.yaml:1:1: this cell has no output"],
    "unfold: 1\ncell: c\nloss: h\noutput: h[t]\n" + NODES:
        ["s.yaml:3:1: a cell has no section loss"],
    HEAD + NODES + "output: h[t]\n": ["s.yaml:5:1: a model has no section output"],
    HEAD: ["s.yaml:1:1: this spec has no nodes"],
    HEAD + "node:\n  h[t]: 1\n": ["s.yaml:3:1: unknown section node"],
    HEAD + "nodes:\n": ["s.yaml:3:7: there are no nodes"],
    HEAD + "nodes: 3\n": ["s.yaml:3:8: nodes: expected a mapping, got a number"],
    HEAD + "nodes:\n  - a\n": ["s.yaml:4:3: nodes: expected a mapping, got a list"],
    HEAD + NODES + "axes: 3\n": ["s.yaml:5:7: axes: expected a mapping, got a number"],
    HEAD + NODES + "axes: [t, [s]]\n": ["s.yaml:5:11: axes: expected a name, got a list"],
    HEAD + NODES + "parameters:\n  - W: [3]\n":
        ["s.yaml:6:3: parameters: expected a mapping, got a list"],
    HEAD + NODES + "train: 3\ndata: [a]\n": [
        "s.yaml:5:8: train: expected a mapping, got a number",
        "s.yaml:6:7: data: expected a mapping, got a list",
    ],
}  # fmt: skip
ENTRIES = {
    "axes": {
        "t: x[t]": ["s.yaml:6:6: x[t] is not an extent"],
        "t: 3 / 2": ["s.yaml:6:8: an extent must be a whole number"],
        "last: 2": ["s.yaml:6:3: last is a reserved name: it is the last index of an axis"],
        "2k: 3": ["s.yaml:6:3: 2k is not a name"],
        "in: 3": ["s.yaml:6:3: in is a reserved word"],
        "__x__: 3": ["s.yaml:6:3: __x__ is not a name: it starts with two underscores"],
        "t[s]: 3": ["s.yaml:6:3: t[s] has brackets, but a plain name was expected"],
        "h: 3": ["s.yaml:6:3: h is defined twice"],
    },
    "sizes": {
        "a:": ["s.yaml:6:3: the size a has no value"],
        "a: 1.5": ["s.yaml:6:6: 1.5 is not a size"],
        "a: [3]": ["s.yaml:6:6: a: expected a size, got a list"],
        "a: b[t]": ["s.yaml:6:6: b[t] is not a size"],
        "a: 2 +": ["s.yaml:6:8: a value is missing after +"],
    },
    "inputs": {
        "x[t]: vocab": ["s.yaml:6:9: x[t]: expected a shape, which is a list, got a text"],
        "x[t]: {category: n, shape: [3]}": ["s.yaml:6:23: x[t] has both a category and a shape"],
        "x[t]: {}": ["s.yaml:6:3: x[t] has neither a category nor a shape"],
        "x[t]: {categry: n}": ["s.yaml:6:10: unknown key categry in x[t]"],
        "x[t-1]: [3]": ["s.yaml:6:5: t-1 is not an axis: the left side names only axes"],
        "x[last]: [3]": ["s.yaml:6:5: last is not an axis: the left side names only axes"],
        "x(t): [3]": ["s.yaml:6:4: expected [ after a name, found ("],
        "x[t: [3]": ["s.yaml:6:4: this [ is never closed"],
        "x[t,t]: [3]": ["s.yaml:6:7: the axis t is named twice"],
        "x[]: [3]": ["s.yaml:6:5: an axis is missing between [ and ]"],
        "x[t]y: [3]": ["s.yaml:6:7: unexpected y"],
        "x[t], y[t]: [3]": ["s.yaml:6:7: unexpected ,"],
        "l1.s: [3]": ["s.yaml:6:3: l1.s is not a name"],
        "'': [3]": ["s.yaml:6:3: a name is missing here"],
        "x: [a/2]": ["s.yaml:6:8: a size must be a whole number"],
        "x: [f(a), b]": ["s.yaml:6:7: f(a) is not a size"],
    },
    "parameters": {
        "W: 3": ["s.yaml:6:6: W: expected a shape, which is a list, got a number"],
        "W:": ["s.yaml:6:5: W: expected a shape, which is a list, got nothing"],
        "W: {}": ["s.yaml:6:3: W has no shape"],
        "W: {shpe: [3]}": ["s.yaml:6:7: unknown key shpe in W"],
        "W: {shape: 3}": ["s.yaml:6:14: shape: expected a shape, which is a list, got a number"],
        "W: {shape: [3], init: ortho}": ["s.yaml:6:25: unknown init ortho"],
        "W: {shape: [3], init: [a]}":
            ["s.yaml:6:25: init: expected the name of a rule, got a list"],
        "W: {shape: [3], init: normal}": ["s.yaml:6:25: init normal needs an argument"],
        "W: {shape: [3], init: {zeros: 1}}": ["s.yaml:6:33: init zeros takes no argument"],
        "W: {shape: [3], init: {normal: x}}": ["s.yaml:6:34: normal: expected a number, got x"],
        "W: {shape: [3], init: {normal: .nan}}":
            ["s.yaml:6:34: normal: expected a finite number, got .nan"],
        "W: {shape: [3], init: {normal: -1}}":
            ["s.yaml:6:34: normal: expected a number of at least 0, got -1"],
        "W: {shape: [3], init: {normal: 1, ones: }}":
            ["s.yaml:6:25: init: expected one entry, got 2"],
        "W: {shape: [3], init: {values: [[1, 2], [3]]}}":
            ["s.yaml:6:43: values: the shape of this row is [1], but that of the first is [2]"],
        "W: {shape: [3], frozen: maybe}":
            ["s.yaml:6:27: frozen: expected true or false, got maybe"],
        "W: {shape: [3], init: foo, frozen: 1, lr: 2}": [
            "s.yaml:6:25: unknown init foo", "s.yaml:6:38: frozen: expected true or false, got 1",
            "s.yaml:6:41: unknown key lr in W",
        ],
    },
    "use": {
        "lstm:": ["s.yaml:6:8: lstm: expected the path of a cell's file, got nothing"],
        "my-cell: x.yaml": ["s.yaml:6:3: my-cell is not a name"],
    },
    "initial": {
        "h[t,s]: 3": ["s.yaml:6:7: h[t,s] names 2 axes, but a boundary belongs to one axis"],
        "h:": ["s.yaml:6:5: h: expected an initial value, got nothing"],
        "h: [3]": ["s.yaml:6:6: h: expected an initial value, got a list"],
        "h: 3 +": ["s.yaml:6:8: a value is missing after +"],
        "first: 3": ["s.yaml:6:3: first is a reserved name: it is the first index of an axis"],
        "h[t]: 3\n  h[ t ]: 2": ["s.yaml:7:3: the initial value of h[ t ] is given twice"],
    },
    "stop": {
        "when: h[t] > 3":
            ["s.yaml:5:1: stop has a condition but no bound: the run might never end"],
        "at_most: 3": ["s.yaml:5:1: stop has neither  when  nor  extent"],
        "when: h[t] > 3\n  at_mst: 3": ["s.yaml:7:3: unknown key at_mst in stop"],
        "when: [a]\n  at_most: 3": ["s.yaml:6:9: when: expected an expression, got a list"],
    },
}  # fmt: skip
EQUATIONS = {
    "a[t]:": ["s.yaml:4:8: a[t]: expected an expression, got nothing"],
    "a[t]: [c, d]": ["s.yaml:4:9: a[t]: expected an expression, got a list"],
    "a[t]: {stack: 3}": ["s.yaml:4:3: a[t] has no expression"],
    "a[t]: {is: b, stak: 3}": ["s.yaml:4:17: unknown key stak in a[t]"],
    "a[t]: {iss: b}": ["s.yaml:4:10: unknown key iss in a[t]"],
    "a[t]: {is: b, stack: x[t]}": ["s.yaml:4:24: x[t] is not a size"],
    "a[t], b[s]: split(z[t], 2)": [
        "s.yaml:4:9: b[s] and a[t] are defined together but differ in their axes"
    ],
    "a[t], a[t]: split(z[t], 2)": ["s.yaml:4:9: a is defined twice"],
    "a[t],: 3": ["s.yaml:4:8: a name is missing here"],
    "a[t]: W @ * x": ["s.yaml:4:13: a value is missing between @ and *"],
    "a[t]: x if t else y": ["s.yaml:4:11: if is not part of an expression"],
    "a[t]: 1\n  a: 2": ["s.yaml:5:3: a is defined twice"],
    "a[t]: 1\n  a[t]: 2": ["s.yaml:5:3: the key a[t] is given twice"],
    "batch[t]: 1": ["s.yaml:4:3: batch is a reserved name: it is the implicit first axis"],
    "lambda[t]: 1": ["s.yaml:4:3: lambda is a reserved word"],
    "h-1[t]: 1": ["s.yaml:4:3: h-1 is not a name"],
    "__import__: 1": ["s.yaml:4:3: __import__ is not a name: it starts with two underscores"],
    "x" * 101 + ": 1": ["s.yaml:4:3: this name has more than 100 characters"],
}


@pytest.mark.parametrize("text", WHOLE)
def test_mistakes_of_whole_files(text: str) -> None:
    assert mistakes(text) == WHOLE[text]


@pytest.mark.parametrize(
    ("section", "entry"), [(section, entry) for section in ENTRIES for entry in ENTRIES[section]]
)
def test_mistakes_of_entries(section: str, entry: str) -> None:
    assert mistakes(f"{HEAD}{NODES}{section}:\n  {entry}\n") == ENTRIES[section][entry]


@pytest.mark.parametrize("entry", EQUATIONS)
def test_mistakes_of_equations(entry: str) -> None:
    assert mistakes(f"{HEAD}nodes:\n  {entry}\n") == EQUATIONS[entry]


def test_all_independent_mistakes_are_reported_in_the_order_of_the_file() -> None:
    text = (
        "unfold: 1\nnme: m\naxes: {t: 50}\nsizes: {vocab: 6.5}\n"
        "parameters:\n  W: hidden\n  V: [vocab, 3]\n  V: [3]\n"
        "nodes:\n  h[t]: tanh(W @ h[t-1]\n  o[t]: V @ h[t] +\n"
        "loss: mean(o) if x\noutputs: [tanh(o)]\n"
    )
    assert mistakes(text) == [
        "s.yaml:1:1: this file has no name",
        "s.yaml:2:1: unknown section nme",
        "s.yaml:4:16: 6.5 is not a size",
        "s.yaml:6:6: W: expected a shape, which is a list, got a text",
        "s.yaml:8:3: the key V is given twice",
        "s.yaml:10:13: this ( is never closed",
        "s.yaml:11:18: a value is missing after +",
        "s.yaml:12:15: if is not part of an expression",
        "s.yaml:13:11: outputs: expected the name of a node, got tanh(o)",
    ]


def test_a_whole_message() -> None:
    with pytest.raises(SpecError) as caught:
        parse(HEAD + "nodes:\n  z[t]: >\n    W @ h[t-1]\n    + U ^ x[t]\nparamters: {W: [3]}\n")
    assert str(caught.value) == (
        "s.yaml:6:9: ^ is not part of an expression\n"
        "    6 |     + U ^ x[t]\n"
        "      |         ^\n"
        "  help: write ** for a power\n"
        "\n"
        "s.yaml:7:1: unknown section paramters\n"
        "    7 | paramters: {W: [3]}\n"
        "      | ^^^^^^^^^\n"
        "  help: did you mean parameters?"
    )


def test_a_duplicate_names_the_first_definition() -> None:
    with pytest.raises(SpecError) as caught:
        parse(HEAD + "sizes: {W: 3}\nparameters: {W: [3]}\n" + NODES)
    (found,) = caught.value.diagnostics
    assert found.notes == ("first defined as a size at s.yaml:3:9",)


def test_very_many_mistakes_are_cut() -> None:
    text = HEAD + "nodes:\n" + "".join(f"  n{i}: 1 +\n" for i in range(MAX_REPORTED + 7))
    found = mistakes(text)
    assert len(found) == MAX_REPORTED + 1
    assert found[-1] == "and 7 more errors"


def test_what_could_be_read_is_there_beside_the_mistakes() -> None:
    problems = Problems()
    text = HEAD + "parameters: {W: 3, V: [2]}\nnodes:\n  a[t], b[t]: 1 +\n  c[t]: a[t]\n  d(t): 2\n"
    spec = parse_spec_partly(text, "s.yaml", problems)
    assert spec is not None
    assert [e.targets[0].name for e in spec.nodes] == ["c"]
    assert [p.target.name for p in spec.parameters] == ["V"]
    assert problems.broken == {"W", "a", "b", "d"}
    assert problems.count == 3


@pytest.mark.parametrize("text", ["- a\n", "a: {\n", HEAD + NODES + "parameters: 3\n", NODES, ""])
def test_nothing_is_returned_where_names_would_be_missing(text: str) -> None:
    problems = Problems()
    assert parse_spec_partly(text, "s.yaml", problems) is None
    assert problems.count >= 1


# ------------------------------------------------------------------ suggestions


def test_suggestions() -> None:
    assert did_you_mean("hiden", ["hidden", "vocab"]) == "did you mean hidden?"
    assert did_you_mean("HIDDEN", ["hidden", "vocab"]) == "did you mean hidden?"
    assert did_you_mean("zzz", ["hidden", "vocab"]) is None
    assert closest("x" * 1000, ["x" * 1000]) is None
    assert listing(["a", "b"]) == "a, b"
    assert listing(map(str, range(30)), most=3) == "0, 1, 2, … (30 in all)"


# ------------------------------------------------------------------ robustness


def mutated(text: str, seed: int) -> str:
    """Return the text with a few random changes: characters, pieces and lines."""
    random_ = random.Random(seed)
    letters = "abt[](){}:,.+-*/@\"'#&*!|>%\\ \n\t0123=^\u03b1\u00e9\x00\x85"
    characters = list(text)
    for _ in range(random_.randint(1, 3)):
        at = random_.randrange(len(characters))
        end = min(len(characters), at + random_.randint(1, 12))
        kind = random_.randrange(4)
        if kind == 0:
            characters[at] = random_.choice(letters)
        elif kind == 1:
            characters.insert(at, random_.choice(letters) * random_.randint(1, 3))
        elif kind == 2:
            del characters[at:end]
        else:
            source = random_.randrange(len(characters))
            characters[at:at] = characters[source : source + random_.randint(1, 40)]
    return "".join(characters)


def test_mutated_files_give_a_spec_or_diagnostics() -> None:
    outcomes = {"read": 0, "refused": 0}
    for seed in range(400):
        text = mutated(EXAMPLE, seed)
        try:
            parse(text)
        except SpecError as error:
            assert error.diagnostics
            assert len({str(diagnostic) for diagnostic in error.diagnostics}) == len(
                error.diagnostics
            )
            outcomes["refused"] += 1
        else:
            outcomes["read"] += 1
    assert min(outcomes.values()) > 20, outcomes


def test_parsing_imports_nothing_heavy() -> None:
    code = (
        "import sys, unfold.spec.file.sections; "
        "print([m for m in ('numpy', 'networkx', 'rich', 'typer', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
