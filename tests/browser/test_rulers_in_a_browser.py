"""One cursor over scales: with keys, with the pointer, on a narrow screen."""

import pytest


class Scales:
    def __init__(self, page):
        self.figure = page.locator(".figure-rulers")
        self.figure.scroll_into_view_if_needed()
        self.slider = self.figure.locator("input[type=range]")
        self.slider.wait_for()

    @property
    def values(self):
        return self.figure.locator(".ruler-value").all_inner_texts()

    @property
    def status(self):
        return self.figure.locator(".now").inner_text()


@pytest.fixture
def scales(visit, rendered):
    return Scales(visit(rendered).open("filters"))


def test_the_cursor_begins_where_it_was_put(scales):
    assert scales.values == ["7,000 Hz", "5,000 Hz", "1,000 Hz"]
    assert "7,000 Hz lands on 1,000 Hz at stage 2" in scales.status
    assert scales.figure.locator(".seen").count() == 2


def test_keys_move_the_cursor_and_every_scale_follows(scales):
    scales.slider.focus()
    scales.slider.press("ArrowRight")
    assert scales.values == ["7,050 Hz", "4,950 Hz", "1,050 Hz"]
    assert scales.slider.get_attribute("aria-valuetext") == "7,050 Hz"
    assert scales.figure.locator(".seen").count() == 0
    scales.slider.press("End")
    assert scales.values == ["12,000 Hz", "nowhere", "nowhere"]


def test_a_press_on_the_first_scale_goes_there(scales):
    first = scales.figure.locator(".ruler").first
    box = first.bounding_box()
    first.click(position={"x": 8 + (box["width"] - 16) / 4, "y": 14})
    assert scales.values[0] == "3,000 Hz"


def test_a_scale_that_is_chosen_lights_what_looks_alike_there(scales):
    """At stage 2 eight stretches fold near 1,000 Hz; at stage 1 one, from 3,000 to 9,000 Hz."""
    assert scales.figure.locator(".alike").count() == 8
    scales.figure.locator(".ruler-pick", has_text="stage 1").click()
    assert scales.figure.locator(".alike").count() == 1
    assert "at stage 1" in scales.status
    assert scales.figure.locator(".ruler-row.chosen").inner_text().startswith("stage 1")


def test_it_fits_a_narrow_screen(visit, rendered):
    narrow = {"width": 400, "height": 900}
    scales = Scales(visit(rendered, viewport=narrow).open("filters"))
    width = scales.figure.evaluate("(node) => [node.scrollWidth, node.clientWidth]")
    assert width[0] <= width[1] + 1
    assert scales.figure.locator(".ruler").first.bounding_box()["width"] > 250
