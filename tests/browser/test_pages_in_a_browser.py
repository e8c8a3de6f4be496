"""Every page, as somebody with a browser finds it: on a screen, a phone, paper, without scripts."""

from pathlib import Path

import pytest

PAGES = ("index", "ledger", "filters", "features", "dynamics", "sounds")
PHONE = {"width": 375, "height": 740}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_from_the_file_system_without_complaint_or_request(name, visit, rendered):
    page = visit(rendered).open(name)
    page.wait_for_timeout(700)
    assert page.locator("h1").count() == 1


@pytest.mark.parametrize("name", PAGES)
def test_a_phone_never_scrolls_sideways(name, visit, rendered):
    page = visit(rendered, viewport=PHONE).open(name)
    page.evaluate("auscult.seeAll()")
    page.wait_for_timeout(700)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


@pytest.mark.parametrize("name", ["ledger", "filters", "dynamics"])
def test_every_block_of_a_page_is_drawn(name, visit, rendered):
    page = visit(rendered).open(name)
    page.evaluate("auscult.seeAll()")
    page.wait_for_timeout(700)
    empty = (
        "[...document.querySelectorAll('.drawing')].filter((one) => !one.childElementCount).length"
    )
    assert page.evaluate(empty) == 0
    assert page.locator(".drawing .missing").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["index", "ledger"])
def test_text_has_contrast_enough_in_both_schemes(name, scheme, visit, rendered):
    page = visit(rendered, color_scheme=scheme).open(name)
    worst = page.evaluate(
        """() => {
          const share = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
          const parse = (css) => css.match(/[\\d.]+/g).map(Number);
          const light = ([r, g, b]) =>
            0.2126 * share(r / 255) + 0.7152 * share(g / 255) + 0.0722 * share(b / 255);
          const ground = (node) => {
            for (let one = node; one; one = one.parentElement) {
              const told = parse(getComputedStyle(one).backgroundColor);
              if (told.length < 4 || told[3] > 0) return told;
            }
          };
          const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
          const kinds = "h1, h2, h3, p, dt, dd, td, th, a, summary, .chip, .claim, li";
          const texts = [...document.querySelectorAll(kinds)];
          const shown = texts.filter((node) => node.offsetParent && node.textContent.trim());
          const rated = shown.map((node) => {
            const ink = parse(getComputedStyle(node).color);
            return [ratio(light(ink), light(ground(node))), node.outerHTML.slice(0, 80)];
          });
          return rated.sort((a, b) => a[0] - b[0])[0];
        }"""
    )
    assert worst[0] >= 4.5, worst


def test_a_keyboard_user_can_skip_to_the_content(visit, rendered):
    page = visit(rendered).open("index")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_without_scripts_the_answers_and_the_sounds_remain(visit, rendered):
    visited = visit(rendered, java_script_enabled=False)
    visited.page.goto((rendered / "report" / "dynamics.html").as_uri())
    assert visited.page.locator(".finding-say").count() == 2
    assert visited.page.locator("noscript audio, section audio").count() >= 4


def test_a_print_shows_cards_and_hides_controls(visit, rendered, tmp_path):
    page = visit(rendered).open("features")
    page.wait_for_selector(".tile")
    page.emulate_media(media="print")
    assert not page.locator(".toolbar").is_visible()
    assert page.locator(".card .tile").first.is_visible()
    pdf = page.pdf(path=tmp_path / "page.pdf")
    assert pdf.startswith(b"%PDF")
    assert len(pdf) > 50_000


def test_a_chart_can_be_explored_and_its_numbers_saved(visit, rendered):
    page = visit(rendered).open("filters")
    page.get_by_role("button", name="Explore: Mean response of the filter bank").click()
    page.wait_for_selector("dialog .main-svg")
    page.get_by_role("button", name="Close").click()
    assert page.locator("dialog").count() == 0
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save as CSV: Mean response of the filter bank").click()
    lines = Path(saved.value.path()).read_text(encoding="utf-8").splitlines()
    assert lines[0] == "series,frequency (Hz),gain (dB re the largest)"
    assert len(lines) == 1 + 2 * 160


def test_a_table_is_sorted_by_a_press_on_its_heading(visit, rendered):
    page = visit(rendered).open("filters")
    table = page.locator("table", has_text="bandwidth").first
    table.get_by_role("button", name="centre").click()
    values = [
        float(cell.get_attribute("data-value"))
        for cell in table.locator("tbody td:nth-child(2)").all()
    ]
    assert values == sorted(values)
    assert table.locator("th").nth(1).get_attribute("aria-sort") == "ascending"


def test_hostile_names_are_shown_and_nothing_of_them_runs(visit, hostile):
    visited = visit(hostile)
    for name in ("index", "ledger", "hostile", "features", "sounds"):
        page = visited.open(name)
        page.evaluate("auscult.seeAll()")
        page.wait_for_timeout(600)
        assert page.evaluate("window.hurt") is None
        assert page.locator("img[src='x']").count() == 0
    page = visited.open("hostile")
    page.wait_for_selector(".tile-play")
    for chart in page.get_by_role("button", name="Explore").all():
        chart.click()
        page.wait_for_selector("dialog .main-svg")
        page.keyboard.press("Escape")
    page.locator(".chart").first.hover()
    assert page.evaluate("window.hurt") is None
    assert "<script>window.hurt=1</script>" in page.locator("h1").inner_text()
    assert "‹U+202E›" in page.locator("main").inner_text()


def test_a_gap_in_a_band_does_not_end_it(visit, rendered):
    page = visit(rendered).open("filters")
    page.evaluate("auscult.seeAll()")
    page.locator("path.band").first.wait_for(state="attached")
    paths = page.evaluate(
        "[...document.querySelectorAll('path.band')].map((p) => p.getAttribute('d'))"
    )
    assert paths
    assert not [path for path in paths if "NaN" in path]


@pytest.mark.parametrize("name", PAGES)
def test_the_row_of_pages_shows_the_own_one(name, visit, rendered):
    page = visit(rendered, viewport={"width": 320, "height": 740}).open(name)
    seen, own = page.evaluate(
        """() => {
          const words = document.createRange();
          words.selectNodeContents(document.querySelector(".top nav [aria-current]"));
          return [document.querySelector(".top nav"), words].map((one) => {
            const { left, right } = one.getBoundingClientRect();
            return [left, right];
          });
        }"""
    )
    assert seen[0] - 0.5 <= own[0] < own[1] <= seen[1] + 0.5


@pytest.mark.parametrize("name", ["index", "ledger"])
def test_the_row_of_pages_stays_where_the_own_one_is_seen(name, visit, rendered):
    # Narrow enough that the second page, which is seen, would move to be in the middle.
    page = visit(rendered, viewport={"width": 230, "height": 740}).open(name)
    assert page.evaluate("document.querySelector('.top nav').scrollLeft") == 0
    assert page.evaluate(
        "(one => one.scrollWidth > one.clientWidth)(document.querySelector('.top nav'))"
    )


def test_what_is_folded_opens_by_a_press_and_on_paper(visit, rendered, tmp_path):
    page = visit(rendered).open("filters")
    inside = page.locator(".blocks details td").first
    assert not inside.is_visible()
    page.locator(".blocks details > summary").first.click()
    assert inside.is_visible()
    page.locator(".blocks details > summary").first.click()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert inside.is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert not inside.is_visible()
