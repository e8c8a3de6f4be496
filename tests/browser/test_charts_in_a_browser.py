"""Charts read alone: lines that differ, axes of things by name, equality drawn, piles told."""

import json

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
