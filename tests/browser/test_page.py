"""The report page in a real browser, opened from disk without a network.

Needs playwright (Python) and a Chromium on PATH; skipped where either is missing.
"""

import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reports.page.examples import ExampleBook, pack_examples
from reports.page.page import PageFigure, render_page
from reports.sections import Section
from reports.table import Cell, Column, Row, Table
from tests.reports.page.runs import Answered, Asked, toy_tasks, with_runs, write_run

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="500pt" height="90pt"><path d="M0 0L500 90" stroke="{}"/></svg>'
WIDE = Table(
    "wide",
    "A table wider than a telephone",
    (Column("checkpoint", align="left", unit="text"), *(Column(f"task number {i}") for i in range(12))),
    (Row((Cell("base"), *(Cell("50.0", interval="45.0–55.0") for _ in range(12)))),),
)
EVIL = (
    '</script><img src=x onerror="window.hurt=1"><script>window.hurt=1</script><!-- \x00 \u202e '
    "$\\href{javascript:window.hurt=1}{x}$"
)

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start a Chromium."""
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is needed: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("a Chromium is needed on PATH: chromium, chromium-browser or google-chrome")
    with driver.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def toy_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the page of a study of sums: 40 examples, ten of each flip."""
    folder = tmp_path_factory.mktemp("toy")
    runs = [write_run(folder / "runs", label, toy_tasks(label)) for label in ("base", "grlo")]
    return write_page(folder, pack_examples(runs))


def write_page(folder: Path, examples: ExampleBook) -> Path:
    figure = PageFigure("delta", "Deltas", "What moved.", SVG.format("#000"), SVG.format("#fff"))
    path = folder / "report.html"
    path.write_text(render_page(with_runs([]), [Section("Scores", (WIDE,))], [figure], [], examples), encoding="utf-8")
    return path


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    """Open a file offline; at the end nothing must have been logged, thrown or fetched."""
    contexts, trouble = [], []

    def open_file(
        path: Path, width: int = 1280, scheme: str = "light", address: str = "", ready: str = "#browser[data-ready]"
    ) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, offline=True, color_scheme=scheme, reduced_motion="reduce"
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: trouble.append(message.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on(
            "request",
            lambda request: None if request.url.startswith(("file://", "data:")) else trouble.append(request.url),
        )
        page.goto(f"{path.as_uri()}{address}")
        page.wait_for_selector(ready)
        return page

    yield open_file
    for context in contexts:
        context.close()
    assert trouble == []


def wait_for(page: Any, selector: str, pattern: str) -> None:
    """Wait until an element's text matches; the page's policy forbids waiting by a script of ours."""
    page.locator(selector, has_text=re.compile(pattern)).wait_for(timeout=15_000)


def rows(page: Any) -> list[str]:
    found: list[str] = page.locator("#list [role=option] .id").all_text_contents()
    return found


def test_filters_show_the_flips_with_their_counts(open_page: Open, toy_page: Path) -> None:
    """Each filter has a quarter of the examples; gained are those that only the right side solves."""
    page = open_page(toy_page)
    counts = page.locator("[data-flip] .count").all_text_contents()
    assert counts == ["40", "10", "10", "10", "10"]
    page.click("[data-flip=gained]")
    assert rows(page)[:3] == ["q0", "q4", "q8"]
    assert page.inner_text("#status") == "10 examples gained"
    page.click("[data-flip=wrong]")
    assert rows(page)[:2] == ["q3", "q7"]


def test_an_example_shows_everything_side_by_side(open_page: Open, toy_page: Path) -> None:
    """Prompt, target, both texts with verdict, answer and reason; formulas are MathML, money is not."""
    page = open_page(toy_page)
    page.click("[data-flip=gained]")
    page.click("#list [role=option] >> nth=1")
    page.wait_for_selector("#detail .sides")
    text = page.inner_text("#detail")
    for part in ("gsm8k / q4", "What is 4 + 4?", "BASE", "GRLO", "differs from the target", "equal to the target"):
        assert part in text
    sides = page.locator("#detail .sides > section")
    assert [sides.nth(i).locator("dd").first.inner_text() for i in range(2)] == ["wrong", "right"]
    assert sides.nth(1).locator("math").count() == 2
    assert sides.nth(1).locator("math mfrac").count() == 1
    assert "It costs $5, or $6." in text
    assert page.evaluate("location.hash") == "#gsm8k/q4"
    left, right = sides.nth(0).bounding_box(), sides.nth(1).bounding_box()
    assert left["y"] == right["y"]
    assert left["x"] + left["width"] <= right["x"]


def test_source_shows_the_text_as_written(open_page: Open, toy_page: Path) -> None:
    """The toggle takes formulas back to TeX."""
    page = open_page(toy_page, address="#gsm8k/q4")
    page.wait_for_selector("#detail math")
    page.click("#source")
    page.wait_for_selector("#detail .mono")
    assert page.locator("#detail math").count() == 0
    assert "$\\frac{4}{1} + 4$" in page.inner_text("#detail")


def test_programs_are_shown_as_written(open_page: Open, tmp_path: Path) -> None:
    """Of a code task neither indentation nor dollars are touched."""
    program = 'def f(x):\n    return "$x$"\n'
    asked = {"humaneval_plus": [Asked("HumanEval/0", program, None, [Answered(program, 1.0, program)])]}
    run = write_run(tmp_path, "base", asked, {"humaneval_plus": "code"})
    page = open_page(write_page(tmp_path, pack_examples([run])), address="#humaneval_plus/HumanEval%2F0")
    page.wait_for_selector("#detail .sides .mono")
    assert page.locator("#detail .sides .mono").text_content() == program
    assert page.locator("#detail math").count() == 0


def test_search_finds_in_prompts_and_generations(open_page: Open, toy_page: Path) -> None:
    """Case does not matter; the filter still holds; nothing found is said."""
    page = open_page(toy_page)
    page.fill("#query", "IS 17 + 17")
    wait_for(page, "#status", "found")
    assert rows(page) == ["q17"]
    page.click("#list [role=option]")
    page.wait_for_selector("#detail h3")
    assert page.evaluate("CSS.highlights.get('hit').size") == 1
    page.keyboard.press("Escape")
    page.fill("#query", "GRLO says")
    wait_for(page, "#status", "^40 found")
    page.click("[data-flip=lost]")
    wait_for(page, "#status", "^10 found among 10 lost$")
    page.fill("#query", "no such text")
    wait_for(page, "#status", "^0 found")
    assert rows(page) == []


def test_everything_works_by_keyboard(open_page: Open, toy_page: Path) -> None:
    """/ searches, arrows and j/k move, Enter opens, j steps on, Esc goes back to the list."""
    page = open_page(toy_page)
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "query"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "list"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert page.get_attribute("#list", "aria-activedescendant") == "row-1"
    page.keyboard.press("Enter")
    page.wait_for_selector("#detail h3")
    assert page.inner_text("#detail h3") == "gsm8k / q1"
    page.keyboard.press("j")
    wait_for(page, "#detail h3", "^gsm8k / q2$")
    page.keyboard.press("Escape")
    assert page.is_hidden("#detail")
    assert page.evaluate("document.activeElement.id") == "list"
    page.keyboard.press("End")
    assert page.get_attribute("#list", "aria-activedescendant") == "row-39"


def test_an_address_opens_its_example_and_back_closes_it(open_page: Open, toy_page: Path) -> None:
    """#task/example, with the checkpoints where they are not the first ones."""
    page = open_page(toy_page, address="#gsm8k/q23/grlo/base")
    page.wait_for_selector("#detail h3")
    assert page.inner_text("#detail h3") == "gsm8k / q23"
    assert page.locator("#detail .which").all_text_contents() == ["GRLO", "BASE"]
    page.click("text=← Back")
    page.click("#list [role=option] >> nth=0")
    page.wait_for_selector("#detail h3")
    page.go_back()
    page.wait_for_selector("#detail", state="hidden")


def test_an_address_names_one_checkpoint_twice(open_page: Open, toy_page: Path) -> None:
    """A checkpoint beside itself is shown once, also after a reload; Back from there shows the first two again."""
    page = open_page(toy_page, address="#gsm8k/q1")
    page.wait_for_selector("#detail h3")
    page.evaluate("location.hash = '#gsm8k/q23/base/base'")
    wait_for(page, "#detail h3", "^gsm8k / q23$")
    assert page.locator("#detail .which").all_text_contents() == ["BASE"]
    page.reload()
    wait_for(page, "#detail h3", "^gsm8k / q23$")
    assert page.locator("#detail .which").all_text_contents() == ["BASE"]
    page.go_back()
    wait_for(page, "#detail h3", "^gsm8k / q1$")
    assert page.locator("#detail .which").all_text_contents() == ["BASE", "GRLO"]


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


def test_checkpoints_may_differ_in_their_generations(open_page: Open, tmp_path: Path) -> None:
    """One, several, and none at all stand side by side."""
    left = [Asked("a", "?", None, [Answered("one", 1.0)]), Asked("b", "?", None, [Answered("one", 1.0)])]
    right = [Asked("a", "?", None, [Answered("two", 0.0), Answered("three", 1.0)])]
    runs = [write_run(tmp_path, "base", {"gsm8k": left}), write_run(tmp_path, "grlo", {"gsm8k": right})]
    page = open_page(write_page(tmp_path, pack_examples(runs)), address="#gsm8k/a")
    page.wait_for_selector("#detail .sides")
    assert page.locator("#detail .chooser").count() == 1
    assert page.locator("[data-flip] .count").all_text_contents() == ["2", "0", "1", "0", "0"]
    page.keyboard.press("j")
    wait_for(page, "#detail .sides", "has no generation")


def test_half_right_counts_as_right(open_page: Open, tmp_path: Path) -> None:
    """A score of 0.5 on both sides is both right, and its verdict has the colour of a right one."""
    asked = {"gsm8k": [Asked("a", "?", None, [Answered("x", 0.5)])]}
    runs = [write_run(tmp_path, label, asked) for label in ("base", "grlo")]
    page = open_page(write_page(tmp_path, pack_examples(runs)), address="#gsm8k/a")
    assert page.locator("[data-flip=right] .count").text_content() == "1"
    page.wait_for_selector("#detail .sides")
    assert page.locator("#detail .facts .good").all_text_contents() == ["score 50", "score 50"]


def test_a_page_without_a_single_text_says_so(open_page: Open, tmp_path: Path) -> None:
    """A limit below every example's generations leaves an empty list, with the counts of all."""
    runs = [write_run(tmp_path, label, toy_tasks(label)) for label in ("base", "grlo")]
    page = open_page(write_page(tmp_path, pack_examples(runs, max_generations=1)))
    assert page.inner_text("#status") == "shows 0 of 40 examples"
    page.focus("#list")
    for key in ("j", "Enter", "End", "Escape"):
        page.keyboard.press(key)
    assert page.is_hidden("#detail")


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


def test_what_was_typed_last_is_what_is_found(open_page: Open, toy_page: Path) -> None:
    """A search that is still unpacking texts gives way to another choice of checkpoints."""
    page = open_page(toy_page)
    page.fill("#query", "grlo says")
    page.select_option("#right", "base")
    wait_for(page, "#status", "^0 found")
    page.select_option("#right", "grlo")
    wait_for(page, "#status", "^40 found")


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


def test_each_task_offers_the_checkpoints_that_have_it(open_page: Open, tmp_path: Path) -> None:
    """Changing the task changes the choice of checkpoints, and back again; a lone checkpoint is held against itself."""
    asked = toy_tasks("base", 8)["gsm8k"]
    runs = [write_run(tmp_path, "base", {"gsm8k": asked, "aime24": asked[:3]})]
    runs.append(write_run(tmp_path, "grlo", toy_tasks("grlo", 8)))
    page = open_page(write_page(tmp_path, pack_examples(runs)))
    options = page.locator("#right option")
    assert options.all_text_contents() == ["BASE", "GRLO"]
    page.select_option("#task", label="aime24")
    assert options.all_text_contents() == ["BASE"]
    assert page.locator("[data-flip] .count").all_text_contents() == ["3", "0", "0", "2", "1"]
    page.click("#list [role=option] >> nth=1")
    wait_for(page, "#detail h3", "^aime24 / q1$")
    assert page.locator("#detail .sides > section").count() == 1
    page.select_option("#task", label="gsm8k")
    assert page.is_hidden("#detail")
    assert page.locator("[data-flip] .count").all_text_contents() == ["8", "2", "2", "2", "2"]


def test_a_page_that_holds_a_part_says_which(open_page: Open, tmp_path: Path) -> None:
    """Counts are of all examples; the list has those whose texts are there."""
    runs = [write_run(tmp_path, label, toy_tasks(label)) for label in ("base", "grlo")]
    page = open_page(write_page(tmp_path, pack_examples(runs, max_generations=24)))
    assert page.inner_text("#status") == "shows 12 of 40 examples"
    assert page.locator("[data-flip] .count").all_text_contents() == ["40", "10", "10", "10", "10"]
    page.click("[data-flip=right]")
    assert page.inner_text("#status") == "shows 0 of 10 examples both right"
    assert "The page holds 24 of\n  80 generations" in page.locator("#examples .note").text_content()


def test_generations_of_several_runs_can_be_chosen(open_page: Open, tmp_path: Path) -> None:
    """k > 1 gives a chooser that names run, generation and verdict."""
    first = {"gsm8k": [Asked("a", "?", "1", [Answered("one", 1.0), Answered("two", 0.0)])]}
    second = {"gsm8k": [Asked("a", "?", "1", [Answered("three", 0.5), Answered("", 0.0, outcome="no_answer")])]}
    runs = [write_run(tmp_path / name, "base", tasks) for name, tasks in (("1", first), ("2", second))]
    page = open_page(write_page(tmp_path, pack_examples(runs)), address="#gsm8k/a")
    page.wait_for_selector("#detail .chooser")
    assert page.locator("#detail .chooser option").all_text_contents() == [
        "run 1, generation 1: right",
        "run 1, generation 2: wrong",
        "run 2, generation 1: score 50",
        "run 2, generation 2: no answer could be read",
    ]
    page.select_option("#detail .chooser select", "2")
    assert page.inner_text("#detail .sides .text") == "three"


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
