"""The report page in a real browser, opened from disk without a network: layout, themes, and texts of any kind."""

import re
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reports.page.examples import pack_examples
from reports.page.page import render_page
from tests.browser.pages import Open, rows, wait_for, write_page
from tests.reports.page.runs import Answered, Asked, toy_tasks, with_runs, write_run

EVIL = (
    '</script><img src=x onerror="window.hurt=1"><script>window.hurt=1</script><!-- \x00 \u202e '
    "$\\href{javascript:window.hurt=1}{x}$"
)


def test_programs_are_shown_as_written(open_page: Open, tmp_path: Path) -> None:
    """Of a code task neither indentation nor dollars are touched."""
    program = 'def f(x):\n    return "$x$"\n'
    asked = {"humaneval_plus": [Asked("HumanEval/0", program, None, [Answered(program, 1.0, program)])]}
    run = write_run(tmp_path, "base", asked, {"humaneval_plus": "code"})
    page = open_page(write_page(tmp_path, pack_examples([run])), address="#humaneval_plus/HumanEval%2F0")
    page.wait_for_selector("#detail .sides .mono")
    assert page.locator("#detail .sides .mono").text_content() == program
    assert page.locator("#detail math").count() == 0


def test_names_are_any_text(open_page: Open, tmp_path: Path) -> None:
    """Slashes, number signs, percent signs and markup in names of tasks, examples and checkpoints."""
    asked = [Asked("a/b#c%2F<i>", "?", "1", [Answered("one", 1.0)]), Asked("é ?&", "?", "1", [Answered("two", 0.0)])]
    runs = [write_run(tmp_path, label, {"t_1": asked}) for label in ("base", "grlo@100%")]
    findings = with_runs([])
    spec = msgspec.structs.replace(findings.spec, title="<b>bold</b>")
    path = tmp_path / "page.html"
    findings = msgspec.structs.replace(findings, spec=spec)
    path.write_text(render_page(findings, [], [], [], pack_examples(runs)), encoding="utf-8")
    page = open_page(path)
    assert page.inner_text("h1") == "<b>bold</b>"
    page.click("#list [role=option] >> nth=0")
    wait_for(page, "#detail h3", "^t_1 / a/b#c%2F<i>$")
    page.reload()
    wait_for(page, "#detail h3", "^t_1 / a/b#c%2F<i>$")
    page.keyboard.press("j")
    wait_for(page, "#detail h3", "^t_1 / é \\?&$")


def test_a_page_cut_off_says_so(open_page: Open, tmp_path: Path) -> None:
    """Where texts cannot be unpacked, a sentence stands in the browser's place."""
    run = write_run(tmp_path, "base", toy_tasks("base"))
    path = write_page(tmp_path, pack_examples([run]))
    path.write_text(re.sub(r'(id="chunk-index">.{40})[^<]*', r"\1", path.read_text()))
    page = open_page(path, ready="#examples p:has-text('could not be unpacked')")
    assert page.locator("#browser").count() == 0


def test_a_browser_too_old_says_so(browser: Any, toy_page: Path) -> None:
    """Without DecompressionStream the rest of the page works."""
    page = browser.new_page()
    page.add_init_script("delete window.DecompressionStream")
    page.goto(toy_page.as_uri())
    page.wait_for_selector("#examples p:has-text('too old to unpack')")
    page.click("#theme")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.close()


@pytest.mark.parametrize(
    ("text", "formulas", "shown"),
    [
        ("$x$ and \\(y\\) and \\[z\\] and $$w$$", 4, ""),
        ("so \\boxed{\\frac{1}{2}} it is", 1, ""),
        ("\\begin{align}a\\end{align}", 1, ""),
        ("costs \\$5 and \\$6", 0, "costs \\$5 and \\$6"),
        ("between $5 and $6 only", 0, "between $5 and $6 only"),
        ("from $ x$ to $y $", 0, "from $ x$ to $y $"),
        ("$\\frac{1$ is broken", 0, "$\\frac{1$ is broken"),
        ("a\n```python\nprint('$x$')\n```\nb $y$", 1, "print('$x$')"),
        ("```a\n```b\n$y$\n```\n", 0, "$y$"),
        ("$1 per egg$2", 0, "$1 per egg$2"),
    ],
)
def test_formulas_are_told_from_money_and_code(
    open_page: Open, tmp_path: Path, text: str, formulas: int, shown: str
) -> None:
    """What is a formula is set; everything else stays as it was written."""
    run = write_run(tmp_path, "base", {"gsm8k": [Asked("a", "?", None, [Answered(text, 1.0)])]})
    page = open_page(write_page(tmp_path, pack_examples([run])), address="#gsm8k/a")
    page.wait_for_selector("#detail .sides .text")
    assert page.locator("#detail .sides math").count() == formulas
    assert shown in page.locator("#detail .sides .text").text_content()


@pytest.mark.parametrize("width", [400, 800, 1280])
def test_every_section_can_be_reached(open_page: Open, toy_page: Path, width: int) -> None:
    """The bar scrolls where it is too narrow, and its last link comes out from under the fading edge."""
    page = open_page(toy_page, width=width)
    last = page.locator("nav a").last
    last.focus()
    last.scroll_into_view_if_needed()
    page.evaluate("const bar = document.querySelector('nav ul'); bar.scrollLeft = bar.scrollWidth")
    box, bar = last.bounding_box(), page.locator("nav ul").bounding_box()
    assert box["x"] + box["width"] <= bar["x"] + bar["width"] - 32


def test_figures_stand_beside_their_words(open_page: Open, toy_page: Path) -> None:
    """On a wide screen; on a narrow one the words stand above and below."""
    for width, is_beside in ((1280, True), (800, False)):
        page = open_page(toy_page, width=width)
        image, caption = (page.locator(f"figure {each}").bounding_box() for each in (".scroll", "figcaption"))
        assert (caption["x"] > image["x"] + image["width"]) == is_beside
        assert (caption["y"] > image["y"] + image["height"]) != is_beside


def test_the_theme_follows_the_system_and_the_button(open_page: Open, toy_page: Path) -> None:
    """Dark where the system is; a click changes it, figures too, and a reload keeps it."""
    page = open_page(toy_page, scheme="dark")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.is_visible("img.only-dark")
    page.click("#theme")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    assert page.is_visible("img.only-light")
    assert page.is_hidden("img.only-dark")
    page.reload()
    page.wait_for_selector("#browser[data-ready]")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"


@pytest.mark.parametrize("width", [400, 1280])
def test_the_body_never_scrolls_sideways(open_page: Open, toy_page: Path, width: int) -> None:
    """Wide tables scroll in their own box, with an example open or not."""
    page = open_page(toy_page, width=width)
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(overflow) == 0
    page.click("#list [role=option] >> nth=0")
    page.wait_for_selector("#detail h3")
    assert page.evaluate(overflow) == 0
    assert page.evaluate("document.querySelector('#tables .scroll').scrollWidth") > min(width, 700)


def test_hostile_texts_are_shown_and_never_run(open_page: Open, tmp_path: Path) -> None:
    """Scripts, comments, null bytes, text turned around, a line of a megabyte, broken and endless TeX."""
    texts = [EVIL, "x" * 1_000_000, "$\\frac{1$ and \\(", "$x$ " * 5000, "\\def\\a{\\a\\a}$\\a$", "```\nno end", ""]
    asked = [Asked(f"{EVIL}>{i}", text, EVIL, [Answered(text, 0.0, EVIL, EVIL)]) for i, text in enumerate(texts)]
    runs = [write_run(tmp_path, label, {"gsm8k": asked}) for label in ("base", "grlo")]
    page = open_page(write_page(tmp_path, pack_examples(runs)))
    page.click("#list [role=option] >> nth=0")
    for i in range(len(texts)):
        wait_for(page, "#detail h3", f">{i}$")
        assert page.evaluate("window.hurt") is None
        assert page.locator("#detail img, #detail script, #detail a").count() == 0
        page.keyboard.press("j")
    page.reload()
    wait_for(page, "#detail h3", f">{len(texts) - 1}$")
    assert page.evaluate("document.documentElement.scrollWidth") == 1280


def test_twenty_thousand_generations_are_usable(open_page: Open, tmp_path: Path) -> None:
    """The list of 20,000 texts stands and moves; how fast is measured in benchmarks/report_page.py."""
    asked = [
        Asked(
            str(i), f"Question {i}?", str(i), [Answered(f"By $x_{{{i}}}$ it is {i}. " * 40, float(i % 3 == 0), str(i))]
        )
        for i in range(10_000)
    ]
    swapped = [
        each._replace(generations=[each.generations[0]._replace(value=float(i % 2))]) for i, each in enumerate(asked)
    ]
    runs = [write_run(tmp_path, label, {"gsm8k": tasks}) for label, tasks in (("base", asked), ("grlo", swapped))]
    path = write_page(tmp_path, pack_examples(runs))
    started = time.monotonic()
    page = open_page(path)
    assert len(rows(page)) < 60
    page.focus("#list")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    wait_for(page, "#detail h3", "^gsm8k / 9999$")
    page.fill("#query", "it is 4321.")
    wait_for(page, "#status", "^1 found")
    assert time.monotonic() - started < 20
