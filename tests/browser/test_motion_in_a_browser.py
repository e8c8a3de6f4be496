"""Paths and graphs, with the mouse, with keys, with sound and without."""

from itertools import pairwise

import pytest

PLAYS = """(({ clip, loading, position }) =>
  clip !== null && !loading && position > clip.start)(auscult.player)"""


def until(page, condition, most_s=10.0):
    """Wait for a condition; Playwright's own way evaluates strings, which the pages forbid."""
    for _ in range(round(most_s / 0.05)):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"{condition} never came true")


class Motion:
    """The smooth path of the made-up run: a circle of 150 frames, 75 a second."""

    def __init__(self, page):
        self.page = page
        self.figure = page.locator(".figure-animation", has_text="A smooth path")
        self.figure.scroll_into_view_if_needed()
        self.slider = self.figure.locator(".scrub")
        self.slider.wait_for()
        self.stage = self.figure.locator(".stage")

    @property
    def frame(self):
        return int(self.figure.locator(".now").inner_text().split("frame ")[1].split(" of")[0])

    @property
    def point(self):
        return self.figure.locator(".dot").evaluate(
            "(dot) => [Number(dot.getAttribute('cx')), Number(dot.getAttribute('cy'))]"
        )

    @property
    def cursor(self):
        return self.figure.locator(".cursor").evaluate("(line) => parseFloat(line.style.left)")

    def at(self, share):
        box = self.stage.bounding_box()
        return box["x"] + share * box["width"], box["y"] + box["height"] / 2

    def silent(self):
        return self.page.evaluate("auscult.player.clip === null && !auscult.player.starts")


@pytest.fixture
def motion(visit, rendered):
    return Motion(visit(rendered).open("dynamics"))


def test_keys_move_waveform_plane_and_activity_together_without_a_sound(motion):
    began = motion.point
    motion.slider.focus()
    for _ in range(20):
        motion.page.keyboard.press("ArrowRight")
    assert motion.frame == 20
    # Half a turn of the circle: the point is on the other side.
    centre = motion.figure.locator(".path").evaluate(
        "(one) => { const b = one.getBBox(); return b.x + b.width / 2; }"
    )
    assert (began[0] - centre) * (motion.point[0] - centre) < 0
    assert motion.cursor == pytest.approx(100 * 20 / 75 / 2, abs=0.7)
    assert "frame 20 of 150, component 1 of all sounds" in motion.slider.get_attribute(
        "aria-valuetext"
    )
    assert motion.silent()


def test_home_and_end_reach_both_ends(motion):
    motion.slider.focus()
    motion.page.keyboard.press("End")
    assert motion.frame == 150
    motion.page.keyboard.press("Home")
    assert motion.frame == 1


def test_a_drag_scrubs_without_a_sound_and_the_trail_follows(motion):
    motion.page.mouse.move(*motion.at(0.2))
    motion.page.mouse.down()
    motion.page.mouse.move(*motion.at(0.5), steps=5)
    motion.page.mouse.up()
    assert motion.cursor == pytest.approx(50, abs=1)
    assert motion.frame == pytest.approx(75, abs=2)
    # A quarter of a second is nineteen frames.
    drawn = motion.figure.locator(".trail").get_attribute("d")
    assert drawn.count("L") == pytest.approx(19, abs=1)
    assert motion.silent()


def test_a_press_plays_from_there_and_the_point_follows_the_sound(motion):
    motion.page.mouse.click(*motion.at(0.5))
    until(motion.page, PLAYS)
    told = motion.page.evaluate(
        """() => {
          const { position } = auscult.player;
          const text = [...document.querySelectorAll(".now")].find((one) => /of all/.test(one.textContent) && !one.textContent.startsWith("0.00"));
          return [position, Number(text.textContent.match(/frame (\\d+)/)[1])];
        }"""
    )
    assert told[0] >= 1.0
    assert told[1] == pytest.approx(told[0] * 75, abs=2)
    motion.page.keyboard.press("Escape")
    until(motion.page, "auscult.player.clip === null")
    assert motion.frame >= 75


def test_a_space_on_the_slider_plays_from_where_it_stands(motion):
    motion.slider.focus()
    for _ in range(4):
        motion.page.keyboard.press("PageUp")
    there = motion.frame
    assert there > 40
    motion.page.keyboard.press(" ")
    until(motion.page, PLAYS)
    assert motion.page.evaluate("auscult.player.position") >= (there - 2) / 75
    motion.page.keyboard.press(" ")
    until(motion.page, "auscult.player.clip === null")


def test_a_press_on_the_plane_goes_to_the_nearest_frame(motion):
    motion.slider.focus()
    for _ in range(10):
        motion.page.keyboard.press("ArrowRight")
    x, y = motion.figure.locator(".dot").evaluate(
        "(dot) => { const b = dot.getBoundingClientRect(); return [b.x + 6, b.y + 6]; }"
    )
    motion.page.keyboard.press("Home")
    motion.page.mouse.click(x, y)
    # The path is run through several times: any frame a whole number of turns away will do.
    assert (motion.frame - 10) % 40 in (0, 1, 39)
    assert motion.silent()


def test_a_calm_reader_sees_at_most_four_pictures_a_second(visit, rendered):
    motion = Motion(visit(rendered, reduced_motion="reduce").open("dynamics"))
    motion.page.evaluate(
        """() => {
          window.frames_seen = [];
          for (const now of document.querySelectorAll(".now")) new MutationObserver(() => {
            if (auscult.player.clip) frames_seen.push(Number(now.textContent.match(/frame (\\d+)/)[1]));
          }).observe(now, { childList: true });
        }"""
    )
    motion.figure.locator(".strip-play").click()
    until(motion.page, "frames_seen.length >= 3")
    frames = motion.page.evaluate("frames_seen")
    assert min(b - a for a, b in pairwise(frames)) >= 18


def test_without_scripts_the_path_is_there_as_a_whole(visit, rendered):
    visited = visit(rendered, java_script_enabled=False)
    visited.page.goto((rendered / "report" / "dynamics.html").as_uri())
    still = visited.page.locator(".still")
    assert still.count() == 3
    assert still.first.bounding_box()["height"] > 100
    assert visited.page.locator(".drawn-graph noscript, .drawn-graph td").count() > 10


def test_on_paper_the_path_stays_and_the_slider_goes(motion):
    motion.page.emulate_media(media="print")
    assert motion.figure.locator(".chart .path").is_visible()
    assert not motion.slider.is_visible()


@pytest.fixture
def graph(visit, rendered):
    page = visit(rendered).open("dynamics")
    page.locator(".figure-graph").scroll_into_view_if_needed()
    page.locator(".graph").wait_for()
    return page


def test_arrow_keys_walk_round_a_graph_and_its_numbers_are_told(graph):
    graph.locator(".graph").focus()
    graph.keyboard.press("ArrowRight")
    assert graph.locator(".figure-graph .now").inner_text().startswith("archetype 0: ")
    graph.keyboard.press("ArrowRight")
    told = graph.locator(".figure-graph .now").inner_text()
    assert told.startswith("archetype 1: ")
    assert "to archetype 2 0." in told
    assert graph.locator(".node.here text").text_content() == "archetype 1"
    graph.keyboard.press("Escape")
    assert graph.locator(".node.here").count() == 0


def test_a_node_under_the_pointer_shows_its_numbers_and_its_links(graph):
    graph.locator(".node circle").nth(2).hover()
    assert graph.locator(".figure-graph .tip").inner_text().startswith("archetype 2: ")
    assert 0 < graph.locator(".link.lit").count() < graph.locator(".link").count()


def test_arrows_are_as_wide_as_their_weights(graph):
    widths = graph.locator(".link").evaluate_all(
        "(all) => all.map((one) => Number(one.getAttribute('stroke-width')))"
    )
    graph.get_by_text("links as a table").click()
    weights = [
        float(cell.get_attribute("data-value"))
        for cell in graph.locator(".graph-table td:nth-child(3)").all()
    ]
    assert len(widths) == len(weights)
    assert max(widths) == pytest.approx(8)
    assert weights == sorted(weights, reverse=True)
    # From 0.7 to 8 pixels in proportion, loops aside, which are at most 5 wide.
    least = 0.7 + 7.3 * min(weights) / max(weights)
    assert min(widths) <= least + 0.01


def test_the_links_of_a_graph_can_be_saved(graph):
    with graph.expect_download() as saved:
        graph.get_by_role("button", name="Save as CSV: Which archetype leads to which").click()
    with open(saved.value.path(), encoding="utf-8") as file:  # noqa: PTH123
        assert file.readline().strip() == "from,to,share of the transitions that leave it"
