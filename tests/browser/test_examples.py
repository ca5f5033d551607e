"""The example browser, opened from disk without a network."""

from pathlib import Path

from reports.page.examples import pack_examples
from tests.browser.pages import Open, rows, wait_for, write_page
from tests.reports.page.runs import Answered, Asked, toy_tasks, write_run


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


def test_what_was_typed_last_is_what_is_found(open_page: Open, toy_page: Path) -> None:
    """A search that is still unpacking texts gives way to another choice of checkpoints."""
    page = open_page(toy_page)
    page.fill("#query", "grlo says")
    page.select_option("#right", "base")
    wait_for(page, "#status", "^0 found")
    page.select_option("#right", "grlo")
    wait_for(page, "#status", "^40 found")
    assert page.locator("#status").inner_text().startswith("40 found")


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
