"""Charts read alone: lines that differ, axes of things by name, equality drawn, piles told."""

import base64
import json
import struct
from itertools import pairwise

import pytest

AXIS = {"name": "stage", "unit": "", "scale": "linear", "label": "stage"}
SHARE = {"name": "share", "unit": "", "scale": "linear", "label": "share"}
PHONE = {"width": 400, "height": 900}


def curve(**parts):
    empty = {"type": "Curve", "title": "drawn", "x_axis": AXIS, "y_axis": SHARE, "note": ""}
    return {**empty, "x_names": [], **parts}


def series(name, y, control=False):
    return {"name": name, "y": y, "x": None, "low": None, "high": None, "control": control}


@pytest.fixture
def show(visit, rendered):
    """Draws a block at the end of a page, and gives its figure."""

    def draw(block, **settings):
        page = visit(rendered, **settings).open("filters")
        page.evaluate(
            "(block) => { const host = document.createElement('section'); host.id = 'own';"
            " document.querySelector('main').append(host); auscult.show(block, host);"
            " host.scrollIntoView(); auscult.seeAll(); }",
            json.loads(json.dumps(block)),
        )
        page.wait_for_selector("#own svg.chart")
        return page

    return draw


def test_no_two_of_many_lines_look_alike(show):
    lines = [series("own", [0, 0.5, 1])]
    lines += [series(f"null {i}", [0.1 * i, 0.2, 0.3], True) for i in range(12)]
    page = show(curve(x=[0, 1, 2], series=lines))
    looks = page.evaluate(
        """() => [...document.querySelectorAll('#own .legend li')].map((one) => {
          const line = one.querySelector('.line');
          const style = getComputedStyle(line);
          const mark = one.querySelector('.mark-of > *')?.tagName ?? 'circle';
          return `${style.stroke} ${style.strokeDasharray} ${mark}`;
        })"""
    )
    assert len(looks) == 13
    assert len(set(looks)) == 13
    marks = page.evaluate(
        "[...document.querySelectorAll('#own .plot .point')].map((one) => one.tagName)"
    )
    assert set(marks) == {"circle", "rect"}


def ticks(page):
    return page.evaluate(
        "[...document.querySelectorAll('#own .axis text')].map((one) => one.textContent)"
    )


def test_there_is_nothing_between_the_second_level_and_the_third(show):
    page = show(curve(x=[1, 2, 3], series=[series("own", [0.11, 0.12, 0.13])]))
    told = ticks(page)
    assert {"1", "2", "3"} <= set(told)
    assert not {"1.5", "2.5"} & set(told)


@pytest.mark.parametrize("viewport", [{"width": 1300, "height": 900}, PHONE])
def test_every_stage_stands_at_the_axis_by_name(viewport, show):
    names = [f"encoder.stages.{i}" for i in range(9)]
    lines = [series("own", [0.1 * i for i in range(9)])]
    page = show(curve(x=list(range(9)), series=lines, x_names=names), viewport=viewport)
    assert set(names) <= set(ticks(page))
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


def scatter(x, y, **parts):
    quantity = {"name": "rate", "unit": "", "scale": "linear", "label": "rate"}
    empty = {"type": "Scatter", "title": "drawn", "labels": [], "groups": [], "note": ""}
    axes = {"x_axis": quantity, "y_axis": quantity, "diagonal": False}
    return {**empty, **axes, "x": x, "y": y, **parts}


def test_what_is_equal_lies_on_the_line(show):
    page = show(scatter([0.1, 0.4, 0.2], [0.1, 0.4, 0.9], diagonal=True))
    apart = page.evaluate(
        """() => {
          const line = document.querySelector('#own .diagonal');
          const [x1, x2, y1, y2] = ['x1', 'x2', 'y1', 'y2'].map((k) => Number(line.getAttribute(k)));
          return [...document.querySelectorAll('#own circle.point')].map((one) => {
            const [x, y] = [Number(one.getAttribute('cx')), Number(one.getAttribute('cy'))];
            return Math.abs(y - (y1 + ((x - x1) * (y2 - y1)) / (x2 - x1)));
          }).sort((a, b) => a - b);
        }"""
    )
    assert apart[1] < 0.5
    assert apart[2] > 50


def test_points_in_one_place_are_one_larger_mark_that_says_so(show):
    page = show(scatter([0.5] * 8 + [0.1], [0.5] * 8 + [0.2]))
    sizes = page.evaluate(
        "[...document.querySelectorAll('#own circle.point')].map((o) => Number(o.getAttribute('r')))"
    )
    assert sizes == [pytest.approx(2 * sizes[1]), sizes[1]]
    assert "up to 8 points in one place" in page.inner_text("#own")


def matrix(values, names):
    flat = [one for row in values for one in row]
    data = base64.b64encode(struct.pack(f"<{len(flat)}f", *flat)).decode()
    places = list(range(len(names)))
    class_axis = {**AXIS, "name": "class", "label": "class"}
    return {
        "type": "Heatmap", "title": "drawn", "note": "", "colour_map": "diverging",
        "values": {"f32": data, "shape": [len(values), len(names)]}, "x": places, "y": places,
        "x_axis": class_axis, "y_axis": class_axis, "value_axis": SHARE,
        "x_names": names, "y_names": names,
    }  # fmt: skip


NAMES = ["clock", "dog", "rain", "saw"]


@pytest.mark.parametrize(
    ("small", "largest", "n", "written", "bar"),
    [
        (-2.9e-4, 0.062, 4, ["0.000", "0.062"], ""),
        (-2.9e-7, -1.9e-6, 4, ["−0.3", "−1.9"], "numbers in the cells × 10⁻⁶"),
        (-2.9e-4, float("nan"), 2, ["−2.90 × 10⁻⁴", "–"], ""),
    ],
)
def test_numbers_in_cells_are_written_as_fully_as_they_do_not_touch(
    small, largest, n, written, bar, show
):
    values = [[small] * n for _ in range(n)]
    values[1][1] = largest
    page = show(matrix(values, NAMES[:n]), viewport=PHONE)
    boxes = page.evaluate(
        """() => [...document.querySelectorAll('#own .cell')].map((one) => {
          const { left, right } = one.getBoundingClientRect();
          return [one.textContent, left, right];
        })"""
    )
    assert [boxes[0][0], boxes[n + 1][0]] == written
    rows = [boxes[i : i + n] for i in range(0, n * n, n)]
    assert all(one[2] + 4 <= other[1] for row in rows for one, other in pairwise(row))
    assert ("numbers in the cells" in page.locator("#own .colourbar").inner_text()) == bool(bar)
    assert bar in page.locator("#own .colourbar").inner_text()


def test_numbers_that_find_no_room_are_left_to_the_pointer(show):
    names = [f"class {i}" for i in range(12)]
    page = show(matrix([[-12.34] * 12] * 12, names), viewport=PHONE)
    assert page.locator("#own .cell").count() == 0


def test_three_curves_stand_beside_one_another_with_axes_of_their_own(show):
    def one(name, unit, top):
        axis = {**SHARE, "unit": unit, "label": f"{name} ({unit})"}
        drawn = curve(title=name, x=[0, 1, 2], series=[series("own", [0, top / 2, top])])
        return {**drawn, "y_axis": axis}

    curves = [one("pitch", "semitones", 2), one("loudness", "dB", 40), one("brightness", "Hz", 900)]
    page = show({"type": "SmallMultiples", "title": "drawn", "note": "", "curves": curves})
    tops = [page.locator("#own .beside svg").nth(i).bounding_box()["y"] for i in range(3)]
    assert len(set(tops)) == 1
    assert page.locator("#own .beside .tool", has_text="CSV").count() == 3
    assert {"2", "40", "500"} <= set(ticks(page))
    alike = [one("a", "dB", 2), one("b", "dB", 40)]
    page = show({"type": "SmallMultiples", "title": "drawn", "note": "", "curves": alike})
    assert ticks(page).count("40") == 2
