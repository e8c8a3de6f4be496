"""A desk: sounds over options, with the mouse, with keys, and without a script."""

import pytest

from tests.browser.test_motion_in_a_browser import until

PLAYS = "auscult.player.clip !== null && !auscult.player.loading"


class Desk:
    """The desk of the made-up run: two voices, four strengths, one combination without a sound."""

    def __init__(self, page):
        self.page = page
        self.figure = page.locator(".figure-choices")
        self.figure.scroll_into_view_if_needed()
        self.slider = self.figure.locator("input[type=range]").first
        self.slider.wait_for()

    @property
    def shown(self):
        return self.figure.locator(".strip-name bdi").first.inner_text()

    @property
    def pitch_told(self):
        return self.figure.locator(".desk-legend li").first.inner_text()

    def drawn(self, kind):
        return self.figure.locator(kind).evaluate_all(
            "(all) => all.map((one) => one.getAttribute('d'))"
        )


@pytest.fixture
def desk(visit, rendered):
    return Desk(visit(rendered).open("dynamics"))


def test_the_slider_is_reached_by_keys_and_says_what_is_chosen(desk):
    assert desk.shown == "α = 1"
    desk.slider.focus()
    desk.page.keyboard.press("ArrowRight")
    assert desk.shown == "α = 2"
    assert desk.slider.get_attribute("aria-valuetext") == "α = 2"
    assert desk.figure.locator(".desk-told").inner_text() == "voice first, strength α = 2"


def test_the_other_voice_is_another_combination_with_curves_of_its_own(desk):
    before = desk.drawn(".desk-over path:not(.beside)")
    desk.figure.get_by_role("radio", name="second").check()
    # Frames lie from 0.3 to 1.993 s: 220 + 120 * 6 * 1.1467 / 2 = 633 Hz, the dashed 4 for 6.
    assert desk.drawn(".desk-over path:not(.beside)") != before
    assert desk.pitch_told == "pitch: mean 633 Hz (original 495)"


def test_a_combination_without_a_sound_says_so(desk):
    desk.figure.get_by_role("radio", name="second").check()
    desk.slider.focus()
    desk.page.keyboard.press("End")
    assert "no sound was made" in desk.figure.locator(".missing").inner_text()


def test_the_sound_goes_on_at_its_place_when_another_is_chosen(desk):
    desk.figure.locator(".strip-play").click()
    until(desk.page, f"{PLAYS} && auscult.player.position > 0.1")
    desk.slider.focus()
    desk.page.keyboard.press("ArrowRight")
    until(desk.page, f"{PLAYS} && auscult.player.clip.label === 'α = 2'")
    assert desk.page.evaluate("auscult.player.position") >= 0.1


def test_a_press_hears_the_original_and_a_second_one_returns(desk):
    button = desk.figure.get_by_role("button", name="Hear original")
    button.click()
    until(desk.page, f"{PLAYS} && auscult.player.clip.label === 'original'")
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    until(desk.page, f"{PLAYS} && auscult.player.clip.label === 'α = 1'")
    assert desk.shown == "α = 1"


def test_frequencies_lie_on_the_axis_of_the_spectrogram(desk):
    # 8 kHz is half of the rate and 50 Hz the bottom: 220 Hz lies at log(4.4) / log(160) of the height.
    first = desk.drawn(".desk-over path:not(.beside)")[0]
    height = float(first.removeprefix("M").split("L")[0].split()[1])
    # Combination 2 at 0.3 s: 220 + 240 * 0.3 / 2 = 256 Hz, 32.2 % of the way up.
    assert abs(height - (100 - 32.2)) < 0.6


def test_nothing_is_wider_than_a_narrow_window(visit, rendered):
    page = visit(rendered, viewport={"width": 400, "height": 800}).open("dynamics")
    desk = Desk(page)
    box = desk.figure.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 400
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_every_sound_of_a_desk_is_there_without_scripts(visit, rendered):
    visited = visit(rendered, java_script_enabled=False)
    visited.page.goto((rendered / "report" / "dynamics.html").as_uri())
    assert visited.page.locator(".drawn-choices audio").count() == 7


def test_a_matrix_of_things_names_them_and_writes_its_numbers(visit, rendered):
    page = visit(rendered).open("dynamics")
    page.evaluate("auscult.seeAll()")
    figure = page.locator(".figure-heatmap", has_text="What moved when")
    figure.locator(".cell").first.wait_for()
    assert figure.locator(".cell").all_text_contents() == [
        "1.2",
        "−0.1",
        "0.02",
        "0.3",
        "−0.9",
        "–",
    ]
    texts = figure.locator(".axis text").all_text_contents()
    assert [one for one in texts if one in ("loudness", "brightness", "pitch")] == [
        "brightness",
        "loudness",
        "loudness",
        "brightness",
        "pitch",
    ]
    # The first row is on top.
    top, bottom = (figure.locator(".cell").nth(i).bounding_box()["y"] for i in (0, 3))
    assert top < bottom
    table = page.evaluate(
        """auscult.csvOf(JSON.parse([...document.querySelectorAll(".drawn-heatmap script")]
             .find((one) => one.textContent.includes("What moved when")).textContent))"""
    )
    assert table.splitlines()[1].startswith("loudness,1.2000000476")  # 32 bits of 1.2
