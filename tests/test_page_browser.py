"""Pages in a headless Chromium: no complaint, and steps, marks, zoom, search and charts that work.

`make test-page` installs what these tests need; without it they are skipped. With
UNFOLD_SCREENSHOTS=FOLDER they save pictures of the page at three widths and in both colours.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chromium import missing, opened
from unfold.cli import invoke
from unfold.page import Chart, Heat, Page, Section, Series, Table, write_page

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

SPEC = r"""
unfold: 1
name: shown
about: "<script>alert(1)</script> ]]> <b>bold</b>"
axes: {t: 6}
sizes: {vocab: 6, hidden: 5}
inputs: {x[t]: {category: vocab}, y[t]: {category: vocab}}
parameters:
  W: {shape: [hidden, hidden], init: orthogonal}
  U: [hidden, vocab]
  V: [vocab, hidden]
nodes:
  h[t]: tanh(W @ h[t-1] + U @ x[t])
  o[t]: V @ h[t]
loss: mean[t](cross_entropy(o[t], y[t]))
draw: {steps: 6, labels: {o: "<img src=x onerror=alert(2)>"}}
data: {text: {string: "<p>]]><p>]]><p>]]><p>]]><p>]]><p>]]>"}, input: x, target: y, batch: 2}
train: {steps: 60, save: 60}
generate: {length: 20}
"""
WIDTHS = (390, 800, 1280)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    (folder / "spec.yaml").write_text(SPEC, encoding="utf-8")
    assert invoke(["run", str(folder / "spec.yaml"), "--runs", str(folder / "runs")]) == 0
    assert invoke(["report", str(folder / "runs" / "shown-1"), "-o", str(folder / "r.html")]) == 0
    return folder / "r.html"


@pytest.fixture(scope="module")
def open_page(page: Path) -> Iterator[Any]:
    with opened(page) as browser:
        browser.wait("return document.querySelectorAll('.plot svg').length > 2")
        yield browser


@pytest.fixture
def browser(open_page: Any) -> Iterator[Any]:
    """Give the page as it was opened, and refuse complaints of its console."""
    open_page.driver.refresh()
    open_page.wait("return document.querySelectorAll('.plot svg').length > 2")
    yield open_page
    assert open_page.complaints() == []


def node(browser: Any, picture: int, label: str) -> Any:
    """Return the element of a node."""
    found = browser.run(
        """return [...document.querySelectorAll('.picture')[arguments[0]].querySelectorAll('.node')]
        .find(n => n.textContent === arguments[1])""",
        picture,
        label,
    )
    assert found is not None, label
    return found


def states(browser: Any, picture: int) -> dict[str, str]:
    return browser.run(
        """return Object.fromEntries(
        [...document.querySelectorAll('.picture')[arguments[0]].querySelectorAll('.node')]
        .map(n => [n.textContent, n.dataset.state ?? '']))""",
        picture,
    )


def go(browser: Any, step: int) -> None:
    browser.run(
        """const s = document.querySelector('.steps input'); s.value = arguments[0];
        s.dispatchEvent(new Event('input'))""",
        step,
    )


def test_text_is_text_and_nothing_runs(browser: Any) -> None:
    assert browser.run("return document.title") == "shown"
    assert browser.one(".about").text == "<script>alert(1)</script> ]]> <b>bold</b>"
    assert browser.all("img, iframe, object, b") == []
    assert browser.run("return document.scripts.length") == 2
    assert node(browser, 0, "<img src=x onerror=alert(2)>[0]")


def test_the_policy_stops_what_a_page_should_not_do(browser: Any) -> None:
    blocked = browser.run(
        """const got = [];
        document.addEventListener('securitypolicyviolation', e => got.push(e.violatedDirective));
        try { document.body.innerHTML += '<p>' } catch { got.push('trusted') }
        const s = document.createElement('style'); document.head.append(s); s.textContent = 'p{}';
        return new Promise(r => setTimeout(() => r(got), 200))"""
    )
    assert {"trusted", "style-src-elem"} <= set(blocked)
    assert browser.complaints()


def test_the_slider_lights_data_forward_and_gradients_backward(browser: Any) -> None:
    assert set(states(browser, 0).values()) == {""}
    go(browser, 2)
    lit = {n for n, s in states(browser, 0).items() if s == "lit"}
    assert lit == {"h[0]", "x[1]"}
    assert states(browser, 0)["x[0]"] == "done" and states(browser, 0)["h[3]"] == "dim"
    assert states(browser, 1)["h[t]"] == "lit" and states(browser, 2)["∂h[0]"] == "dim"
    assert "forward 2 of 10: x[1], h[0]" in browser.one(".told").text
    go(browser, 14)
    assert browser.one(".told").text == "backward 4 of 9: ∂h[5]"
    assert states(browser, 0)["h[5]"] == "back" == states(browser, 2)["∂h[5]"]
    assert states(browser, 0)["loss"] == "backdone" and states(browser, 0)["h[2]"] == "dim"
    assert browser.run("return document.querySelectorAll('.node[data-shade]').length") > 5


def test_play_runs_to_the_end(browser: Any) -> None:
    browser.one(".play").click()
    assert browser.one(".play").get_attribute("title") == "Pause"
    last = browser.one(".steps input").get_attribute("max")
    browser.wait(f"return document.querySelector('.steps input').value === '{last}'", 40)
    browser.wait("return document.querySelector('.play').title === 'Play'")
    assert states(browser, 0)["h[0]"] in ("back", "backdone")


def test_hovering_tells_equation_shape_values_and_gradient(browser: Any) -> None:
    assert not browser.one(".tip").is_displayed()
    browser.actions().move_to_element(node(browser, 0, "h[2]")).perform()
    tip = browser.one(".tip")
    assert tip.is_displayed()
    for words in ("h[2]", "tanh(W @ h[t-1] + U @ x[t])", "[hidden] = [5]", "values", "mean"):
        assert words in tip.text
    assert "gradient norm" in tip.text and len(browser.all(".tip .strip i")) == 5
    browser.actions().move_to_element(browser.one("h1")).perform()
    assert not tip.is_displayed()


def marked(browser: Any) -> list[list[str]]:
    return browser.run(
        """return [...document.querySelectorAll('.picture')].map(p =>
        [...p.querySelectorAll('.node[data-marked]')].map(n => n.textContent))"""
    )


def test_a_click_marks_the_node_in_every_picture(browser: Any) -> None:
    node(browser, 0, "h[2]").click()
    assert marked(browser) == [["h[2]"], ["h[t]"], ["∂h[2]"]]
    assert "h[2]" in browser.one(".panel").text
    browser.one(".close").click()  # the card covers a corner of the window
    assert marked(browser) == [[], [], []]
    node(browser, 1, "h[t]").click()
    hs = [f"h[{t}]" for t in range(6)]
    assert marked(browser) == [hs, ["h[t]"], [f"∂{h}" for h in hs]]
    browser.one(".close").click()
    assert marked(browser) == [[], [], []]


def test_a_click_on_an_edge_marks_its_parameter(browser: Any) -> None:
    browser.run(
        """document.querySelector('.edge-delay .touch')
        .dispatchEvent(new MouseEvent('click', {bubbles: true}))"""
    )
    counts = browser.run(
        """return [...document.querySelectorAll('.picture')].map(p =>
        p.querySelectorAll('.edge[data-marked]').length)"""
    )
    assert counts[0] >= 6 and counts[1] >= 1 and counts[2] >= 5


SCALE = "new DOMMatrix(getComputedStyle(document.querySelector('.stage')).transform).a"


def scale(browser: Any) -> float:
    return browser.run(f"return {SCALE}")


def test_zoom_and_pan(browser: Any) -> None:
    fitted = scale(browser)
    browser.one(".tools button[title='Zoom in']").click()
    assert scale(browser) == pytest.approx(1.35 * fitted)
    at = "return document.querySelector('.stage').getBoundingClientRect().left"
    left = browser.run(at)
    view = browser.one(".view")
    drag = browser.actions().move_to_element_with_offset(view, 5, -60).click_and_hold()
    drag.move_by_offset(-50, 0).release().perform()
    assert browser.run(at) == pytest.approx(left - 50, abs=2)
    assert marked(browser) == [[], [], []], "a drag is no click"
    browser.run(
        """document.querySelector('.view').dispatchEvent(new WheelEvent('wheel',
        {deltaY: -200, ctrlKey: true, bubbles: true, cancelable: true, clientX: 300}))"""
    )
    assert scale(browser) > 2 * fitted
    view.send_keys("0")
    assert scale(browser) == pytest.approx(fitted)
    browser.one(".tools button[title='Fill the window']").click()
    browser.wait(f"return {SCALE} > {fitted}")
    browser.one(".expanded .view").send_keys("\ue00c")
    assert browser.all(".expanded") == []


def test_search_finds_and_marks(browser: Any) -> None:
    field = browser.one(".search input")
    field.send_keys("h[4")
    assert [e.text for e in browser.all(".found li")] == ["h[4]"]
    field.send_keys("\ue007")
    assert marked(browser)[0] == ["h[4]"]
    field.clear()
    field.send_keys("nothing like it")
    assert browser.one(".found").text == "no such node"


def test_colours_by_numbers(browser: Any) -> None:
    browser.run(
        """const s = document.querySelector('.bar select'); s.value = 'norm';
        s.dispatchEvent(new Event('change'))"""
    )
    shades = browser.run(
        """return [...document.querySelectorAll('.picture')].map(p =>
        p.querySelectorAll('[data-shade]').length)"""
    )
    assert shades[0] >= 18 and shades[2] >= 12 and browser.one(".scale").text


def test_a_chart_has_its_numbers_as_a_table(browser: Any) -> None:
    browser.one(".chart .numbers summary").click()
    browser.wait("return document.querySelector('.chart .numbers table')")
    rows = browser.all(".chart .numbers tbody tr")
    assert len(rows) >= 60 and rows[0].text.split()[-2:][0] == "1"


def test_the_switch_changes_colours(browser: Any) -> None:
    paper = "return getComputedStyle(document.body).backgroundColor"
    light = browser.run(paper)
    browser.one(".theme").click()
    assert browser.run(paper) != light
    browser.one(".theme").click()
    assert browser.run(paper) == light


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_screen(browser: Any, width: int) -> None:
    folder = os.environ.get("UNFOLD_SCREENSHOTS")
    try:
        for dark in (False, True):
            browser.size(width, 900)
            browser.media(dark=dark)
            browser.wait("return new Promise(r => setTimeout(() => r(true), 300))")
            assert browser.run("return document.documentElement.scrollWidth") <= width
            if folder:
                browser.picture(Path(folder) / f"page-{width}-{'dark' if dark else 'light'}.png")
    finally:
        browser.size(1280, 900)
        browser.media(dark=False)


def test_printed_pages_are_light_and_have_no_tools(browser: Any) -> None:
    try:
        browser.media(dark=True, kind="print")
        paper = "return getComputedStyle(document.body).backgroundColor"
        assert browser.run(paper) == "rgb(255, 255, 255)"
        assert not browser.one("nav").is_displayed() and not browser.one(".bar").is_displayed()
    finally:
        browser.media(dark=False)


def test_every_kind_of_block_is_shown(tmp_path: Path) -> None:
    x = list(range(1, 9))
    series = [
        Series("line", x, [2.0**-i for i in x], [2.0**-i / 2 for i in x], [2.0**-i * 2 for i in x]),
        Series("dots", x, [1.0 / i for i in x], mark="dots"),
        Series("gaps", x, [None, float("nan"), float("inf"), 0.0, -1.0, 1.0, 2.0, 3.0]),
    ]
    bars = Series("bars", ["a", "b"], [1.0, 2.0], [0.5, 1.5], [1.5, 2.5], mark="bars")
    blocks = (
        Chart("logarithmic", "n", "norm", series, log_x=True, log_y=True, levels=[(0.1, "level")]),
        Chart("bars", "spec", "loss", [bars], note="A note."),
        Chart("nothing", "x", "y", []),
        Heat("heat", "t", "step", [0, 1, 2], ["a", "b"], [[1, 2, None], [0.1, 4, 5]], "norm", True),
        Table(("a", "b"), [("x", 1), (None, True)], "table", [(0, 1)]),
    )
    write_page(
        Page("blocks", sections=[Section("all", "One.\n\nTwo.", blocks)]), tmp_path / "b.html"
    )
    with opened(tmp_path / "b.html") as browser:
        browser.wait("return document.querySelectorAll('.plot svg').length === 4")
        assert browser.complaints() == []
        assert len(browser.all("section > p")) == 2
        assert [e.text for e in browser.all("td.marked")] == ["1"]
