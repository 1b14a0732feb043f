"""`unfold compare` and `unfold.compare`: the measures of the literature, tables, JSON and CSV."""

from __future__ import annotations

import csv
import json
from fractions import Fraction
from math import inf
from pathlib import Path

import numpy as np
import pytest

import unfold
from unfold import analysis
from unfold.cli import invoke
from unfold.comparison.comparison import Comparison, Measure
from unfold.comparison.tables import as_text, shown
from unfold.errors import DataError
from unfold.training.data import random_inputs

# d_r, d_f and s in layers along t: Zhang et al. 2016, Pascanu et al. 2014, Zilly et al. 2017.
PUBLISHED = {
    "stacked-rnn": (1, 4, 1),
    "dt-rnn": (2, 3, Fraction(1, 2)),
    "dts-rnn": (2, 3, 1),
    "dots-rnn": (2, 4, 1),
    "zhang-sh": (1, 2, 1),
    "zhang-st": (1, 3, 1),
    "zhang-bu": (1, 3, 1),
    "zhang-td": (2, 3, 1),
    "skip-in-time": (1, 2, 3),
    "recurrent-depth-3": (3, 4, 1),
    "stack-feedback": (3, 4, 1),
    "recurrent-highway": (3, 4, inf),
}


@pytest.fixture(scope="module")
def depths() -> Comparison:
    return unfold.compare([unfold.load(name) for name in PUBLISHED])


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_depths(name: str, depths: Comparison) -> None:
    own = depths[name]
    found = tuple(own[f"depth along t: layers: {key}"] for key in ("d_r", "d_f", "s"))
    assert found == PUBLISHED[name]


def test_costs_are_those_of_the_model(depths: Comparison) -> None:
    cost = unfold.load("zhang-td").cost()
    own = depths["zhang-td"]
    assert own["cost: parameters"] == cost.parameters
    assert own["cost: memory of training"] == cost.training_bytes
    assert own["cost: operations per step, forward"] == round(cost.flops / 25)


def test_no_line_is_wider_than_asked(depths: Comparison) -> None:
    for width in (60, 100):
        assert max(map(len, as_text(depths, width).split("\n"))) <= width


def test_what_is_equal_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["compare", "zhang-td", "zhang-st", "--distance", "7"]) == 0
    said = capsys.readouterr().out
    lines = said.split("\n")
    assert (
        "equal for all: layers: d_f 3; layers: s 1; nodes: d_f 3; nodes: s 1; ops: s 1/4" in lines
    )
    row = next(line.split() for line in lines if line.startswith("layers: d_r"))
    assert row == ["layers:", "d_r", "2", "1"]
    row = next(line.split() for line in lines if line.startswith("longest, n = 7"))
    assert row[-2:] == ["17", "10"]
    assert not any(line.startswith("layers: d_f") for line in lines)
    assert invoke(["compare", "zhang-td", "zhang-st", "--all"]) == 0
    assert "equal for all" not in capsys.readouterr().out


def test_variants_of_one_spec(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", "zhang-sh", "--vary", "size.hidden=8,16", "--vary", "axis.t=3..4", "--json"]
    assert invoke(words) == 0
    document = json.loads(capsys.readouterr().out)
    names = ["hidden=8 t=3", "hidden=8 t=4", "hidden=16 t=3", "hidden=16 t=4"]
    assert document["ok"] and document["variants"] == names
    found = {(m["group"], m["name"]): m for m in document["measures"]}
    assert not found["depth along t", "layers: d_r"]["differs"]
    steps = found["cost", "steps"]["values"]
    assert [steps[n] for n in names] == [3, 4, 3, 4]
    parameters = found["cost", "parameters"]["values"]
    assert parameters[names[0]] == parameters[names[1]] < parameters[names[2]]


def test_csv_has_a_line_for_each_value(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["compare", "zhang-td", "highway-network", "--csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert {r["variant"] for r in rows} == {"zhang-td", "highway-network"}
    own = {(r["variant"], r["group"], r["measure"]): r["value"] for r in rows}
    assert own["zhang-td", "depth along t", "layers: d_r"] == "2"
    assert own["highway-network", "depth along l", "layers: s"] == "inf"
    assert ("zhang-td", "depth along l", "layers: s") not in own, "it has no such axis"


def test_a_page_has_every_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", "zhang-td", "zhang-st", "--gradients", "1"]
    assert invoke([*words, "-o", str(tmp_path / "a.json"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    page = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert page["title"] == "zhang-td, zhang-st"
    groups = list(dict.fromkeys(m["group"] for m in document["measures"]))
    titles = [g[:1].upper() + g[1:] for g in groups]
    assert [s["title"] for s in page["sections"]] == titles
    depth = next(s for s in page["sections"] if s["title"] == "Depth along t")
    table, chart = depth["blocks"]
    assert table["rows"][0] == ["layers: d_r", "2", "1"]
    assert "Equal for all: layers: d_f 3; layers: s 1" in depth["text"]
    assert [s["y"] for s in chart["series"]] == [[2, 1], [3, 3]]
    assert invoke([*words, "-o", str(tmp_path / "a.html")]) == 0
    assert f"page in {tmp_path / 'a.html'}" in capsys.readouterr().out
    assert "<script" in (tmp_path / "a.html").read_text(encoding="utf-8")


def test_times_are_measured_in_turns(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", "hello", "--vary", "axis.t=2,3", "--backend", "reference"]
    assert invoke([*words, "--seconds", "0", "--json"]) == 0
    told = capsys.readouterr()
    measures = {m["name"]: m for m in json.loads(told.out)["measures"] if m["group"] == "time"}
    assert set(measures["forward, reference, fastest"]["values"]) == {"t=2", "t=3"}
    for kind in ("forward", "forward and backward"):
        fastest, median = (
            measures[f"{kind}, reference, {what}"]["values"]["t=2"]
            for what in ("fastest", "median")
        )
        assert 0 < fastest <= median
    assert "time of t=2: forward, reference ..." in told.err


def test_gradients_at_initialisation(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", "zhang-sh", "zhang-td", "highway-network", "--gradients", "2", "--json"]
    assert invoke(words) == 0
    measures = json.loads(capsys.readouterr().out)["measures"]
    found = {m["name"]: m["values"] for m in measures if m["group"] == "gradients"}
    model = unfold.load("zhang-sh")
    flows = [
        analysis.gradient_flow(
            model, model.init(seed=s), random_inputs(model.program, batch=4, seed=s)
        )
        for s in range(2)
    ]
    wanted = np.mean([f.exponents[0] for f in flows])
    assert found["Lyapunov exponent, mean"]["zhang-sh"] == pytest.approx(wanted, rel=1e-12)
    wanted = np.mean([f.norms[10] for f in flows]) / np.log(10)
    assert found["gain over 10 steps, power of 10"]["zhang-sh"] == pytest.approx(wanted, rel=1e-12)
    wanted = np.mean([f.rates["h"] for f in flows])
    assert found["rate along h"]["zhang-sh"] == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no-such-spec"], "no-such-spec"),
        (["zhang-td", "--vary", "hidden"], "--vary hidden: expected KEY=VALUES, as in"),
        (["zhang-td", "--vary", "size.hidden=4..1"], "4..1 is no range of up to 1,000 numbers"),
        (["zhang-td", "--vary", "size.h=1,2"], "there is no size h to set"),
        (["zhang-td", "--vary", "axis.z=1,2"], "axis"),
        (["zhang-td", "zhang-td", "zhang-td"], "zhang-td stands twice among the specs"),
        (["zhang-td", "--vary", "axis.t=1..999", "--vary", "size.hidden=1..9"], "8,991 variants"),
        (["zhang-td", "-o", "a.txt"], "a.txt"),
        (["zhang-td", "--csv", "--json"], "--csv and --json exclude each other"),
        (["zhang-td", "--backend", "cuda"], "--backend cuda: this version has"),
    ],
)
def test_mistakes(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["compare", *words]) == 1
    told = capsys.readouterr()
    assert said in told.err + told.out


def test_names_of_models_are_unique() -> None:
    model = unfold.load("hello")
    with pytest.raises(DataError, match="two models have one name"):
        unfold.compare([model, model])
    with pytest.raises(DataError, match="nothing to compare"):
        unfold.compare([])
    assert unfold.compare({"a": model, "b": model}).differing.measures == ()


def test_two_files_of_one_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = unfold.load("hello").spec.file
    other = tmp_path / "copy.yaml"
    other.write_text(Path(text).read_text(encoding="utf-8"), encoding="utf-8")
    assert invoke(["compare", "hello", str(other), "--json"]) == 0
    names = json.loads(capsys.readouterr().out)["variants"]
    assert names == ["hello", f"hello ({other})"]


def test_values_as_shown() -> None:
    assert shown(None) == "–" and shown(inf) == "∞" and shown(Fraction(1, 3)) == "1/3"
    assert shown(1234567) == "1,234,567" and shown(12_345_678) == "12.3 M"
    assert shown(512, "bytes") == "512 B" and shown(2.5e6, "bytes") == "2.50 MB"
    assert shown(0.00123, "seconds") == "1.23 ms"


def test_a_comparison_is_data() -> None:
    same, other = Measure("g", "m", "", {"a": 1, "b": 1}), Measure("g", "o", "", {"a": 1})
    found = Comparison(("a", "b"), (same, other), {})
    assert not same.differs and found["b"] == {"g: m": 1}
    with pytest.raises(KeyError):
        found["c"]
    assert json.loads(found.to_json())["measures"][1]["values"] == {"a": 1}


def test_notebooks_show_tables() -> None:
    found = Comparison(
        ("<a>", "b"), (Measure("g", "x & y", "", {"<a>": 1, "b": 2}),), {"g": "about g"}
    )
    shown = found._repr_html_()
    assert "<th>&lt;a&gt;</th>" in shown and "<th>x &amp; y</th><td>1</td><td>2</td>" in shown
    assert str(found).startswith("about g")
