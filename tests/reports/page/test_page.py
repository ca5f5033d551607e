"""The page as text: what is in it, and what must never be."""

import json
import re
from dataclasses import replace
from pathlib import Path

import msgspec

from reports.page.examples import ExampleBook, pack_examples
from reports.page.page import PageFigure, render_page
from reports.sections import CLAIMS, CONTAMINATION, Section
from reports.table import Cell, Column, Row, Table
from tests.reports.page.runs import Answered, Asked, toy_tasks, with_runs, write_run
from tests.studies import make_findings

NO_EXAMPLES = pack_examples([], 0)
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="72pt" height="36pt"></svg>'
TABLE = Table("main", "Main <table>", (Column("label", align="left", unit="text"),), (Row((Cell("a<b"),)),))


def page(examples: ExampleBook = NO_EXAMPLES, **changes: object) -> str:
    found = msgspec.structs.replace(make_findings(), **changes)
    return render_page(
        found, [Section("Scores", (TABLE,))], [PageFigure("delta", "Deltas", "What moved.", SVG, SVG)], [], examples
    )


def test_the_page_opens_on_the_answer() -> None:
    """Title, date of the newest run and the first sentence stand before everything else."""
    text = page()
    order = [">A toy study</h1>", "GRLO moved the overall average", 'id="figures"', 'id="tables"', 'id="claims"']
    order += ['id="examples"', 'id="methods"', 'id="contamination"', 'id="identity"', 'id="not-run"']
    places = [text.index(each) for each in order]
    assert places == sorted(places)
    assert '<time datetime="2026-01-01">' in text


def test_nothing_is_fetched() -> None:
    """No attribute or style names an address; the policy forbids every connection."""
    text = page()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy is not None
    assert policy[1] == (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    assert {found.partition(":")[0] for found in re.findall(r'\bsrc="([^"]*)"', text)} == {"data"}
    assert all(found.startswith(("#", "data:")) for found in re.findall(r'\bhref="([^"]*)"', text))
    assert "@import" not in text
    assert not re.search(r"url\((?!['\"]?(?:data:|#))", text.split("var temml")[0])


def test_what_is_vendored_carries_its_licence() -> None:
    """Temml's licence asks to go with every copy, and each page is one."""
    text = page()
    assert "Copyright (c) 2020 Ron Kok" in text
    assert "The above copyright notice and this permission notice shall be included" in text


def test_findings_are_escaped() -> None:
    """Markup in titles, notes and tables is text."""
    evil = "<img src=x onerror=alert(1)></script>"
    spec = msgspec.structs.replace(make_findings().spec, title=evil)
    text = page(spec=spec, not_run=(evil,))
    assert evil not in text
    assert text.count("&lt;img src=x onerror=alert(1)&gt;&lt;/script&gt;") == 3
    assert "Main &lt;table&gt;" in text
    assert "a&lt;b" in text


def test_texts_of_models_are_only_in_chunks(tmp_path: Path) -> None:
    """No generation, prompt or id appears as it is, whatever it holds."""
    evil = "</script><script>alert(1)</script><!--\x00"
    run = write_run(tmp_path, "base", {"gsm8k": [Asked(evil, evil, evil, [Answered(evil, 1.0, evil, evil)])]})
    text = page(pack_examples([run]))
    assert "alert(1)" not in text
    assert "\x00" not in text


def test_half_a_surrogate_pair_does_not_break_the_file() -> None:
    """What UTF-8 cannot hold becomes the replacement character."""
    text = page(not_run=("half \ud83d of a pair",))
    assert "half \ufffd of a pair" in text
    assert text.encode("utf-8")


def test_figures_have_both_themes_and_a_size() -> None:
    """Each figure is two images, wider on screen than in print; one that names no width has the width of a column."""
    text = page()
    assert re.search(r'class="only-light" alt="Deltas" src="data:image/svg\+xml;base64,', text)
    assert re.search(r'class="only-dark" alt="Deltas" src="data:image/svg\+xml;base64,', text)
    assert 'style="--width: 130px"' in text
    without = PageFigure("delta", "Deltas", "", "<svg></svg>", "<svg></svg>")
    assert 'style="--width: 640px"' in render_page(make_findings(), [], [without], [], NO_EXAMPLES)


def test_contamination_tables_stand_in_their_section() -> None:
    """A table of that heading is not among the others."""
    text = render_page(make_findings(), [Section(CONTAMINATION, (TABLE,))], [], [], NO_EXAMPLES)
    assert text.index("Main &lt;table&gt;") > text.index('id="contamination-title"')
    assert "No table was made." in text


def test_a_note_stands_once_in_a_section() -> None:
    """Tables that share a note do not repeat it; another section has it again."""
    one, two = [replace(TABLE, name=name, notes=("Points from 0 to 100.", f"Of {name}.")) for name in ("one", "two")]
    text = render_page(make_findings(), [Section("A", (one, two)), Section("B", (one,))], [], [], NO_EXAMPLES)
    tables = text[text.index('id="tables"') : text.index('id="claims"')]
    assert tables.count("Points from 0 to 100.") == 2
    assert (tables.count("Of one."), tables.count("Of two.")) == (2, 1)


def test_long_sections_are_folded() -> None:
    """Beyond two tables the others wait under a line that names them."""
    four = tuple(replace(TABLE, name=str(i), title=f"Table {i}") for i in range(4))
    text = render_page(make_findings(), [Section("A", four)], [], [], NO_EXAMPLES)
    assert "<summary>2 more tables: Table 2; Table 3</summary>" in text
    assert text.index("<caption>Table 1</caption>") < text.index("<details>") < text.index("<caption>Table 2</caption>")
    assert "<details>" not in render_page(make_findings(), [Section("A", four[:2])], [], [], NO_EXAMPLES)


def test_claims_are_told_once() -> None:
    """Verdict, claim and evidence stand in their section; a table of them is left out."""
    text = render_page(make_findings(), [Section(CLAIMS, (TABLE,))], [], [], NO_EXAMPLES)
    assert "Main &lt;table&gt;" not in text
    section = text[text.index('id="claims"') : text.index('id="examples"')]
    assert re.search(r'class="verdict supported">supported</span> <code>overall grlo - base &gt; 5</code>', section)
    assert "all above 5" in section


def test_what_is_missing_is_listed() -> None:
    """Checkpoints that were not run and figures that could not be drawn share a section."""
    text = render_page(make_findings(), [], [], ["pass@k curves: one generation per example"], NO_EXAMPLES)
    section = text[text.index('id="not-run"') :]
    assert "alpaca_eval2: needs a judge, which this study does not name" in section
    assert "pass@k curves: one generation per example" in section


def test_the_date_is_that_of_the_newest_run() -> None:
    """Of several runs the last to finish counts."""
    runs = make_findings().runs
    later = msgspec.structs.replace(runs[1].record, finished_at="2026-03-04T05:06:07+00:00")
    text = page(runs=(runs[0], msgspec.structs.replace(runs[1], record=later), *runs[2:]))
    assert '<time datetime="2026-03-04">' in text


def test_the_browser_is_told_titles_and_roles(tmp_path: Path) -> None:
    """Of a checkpoint with a standing, of one that the study only names, and of one it does not know."""
    asked = {"gsm8k": toy_tasks("base", 1)["gsm8k"]}
    runs = [write_run(tmp_path, label, asked) for label in ("base", "grlo", "other")]
    findings = msgspec.structs.replace(make_findings(), standings=make_findings().standings[:1])
    text = render_page(findings, [], [], [], pack_examples(runs))
    book = re.search(r'<script type="application/json" id="book">(.*)</script>', text)
    assert book is not None
    assert json.loads(book[1]) == {
        "labels": [
            {"label": "base", "title": "BASE", "role": "base"},
            {"label": "grlo", "title": "GRLO", "role": "candidate"},
            {"label": "other", "title": "other", "role": ""},
        ],
        "num_generations": 3,
        "num_shown": 3,
    }


def test_empty_sections_say_so() -> None:
    """No claims, audits, figures, tables or texts leave a sentence each."""
    text = render_page(
        msgspec.structs.replace(make_findings(), claims=(), audits=(), not_run=()), [], [], [], NO_EXAMPLES
    )
    for sentence in (
        "No figure was drawn.",
        "No table was made.",
        "The study makes no claims.",
        "This page was made without the texts of the runs.",
        "No training prompts were searched",
        "Nothing that the study asks for is missing.",
    ):
        assert sentence in text


def test_runs_are_identified(tmp_path: Path) -> None:
    """Short hashes carry the whole one; sampling is in words."""
    run = write_run(tmp_path, "base", toy_tasks("base", 4))
    section = render_page(with_runs([run]), [], [], [], NO_EXAMPLES).split('id="identity"')[1]
    assert f"<code>{run.record.spec_id}</code>" in section
    assert f'<code title="{"c0ffee" * 6}">c0ffeec0ffee</code>' in section
    assert "greedy, k = 1, at most 2,048 tokens" in section


def test_the_same_findings_give_the_same_page(tmp_path: Path) -> None:
    """Nothing of the clock or of chance is in the page."""
    run = write_run(tmp_path, "base", toy_tasks("base", 4))
    assert page(pack_examples([run])) == page(pack_examples([run]))
