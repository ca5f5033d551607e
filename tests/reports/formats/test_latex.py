"""Tables in LaTeX: they compile as they are, and nothing sticks out."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from reports.formats.latex import render
from reports.formats.latex_text import escape, escape_number
from reports.sections import build_sections
from reports.table import Cell, Column, Row, Table
from tests.reports.formats.samples import NASTY, make_estimate, small_table
from tests.studies import make_findings

ENGINES = {
    "pdflatex": ["pdflatex", "-interaction=nonstopmode", "-halt-on-error"],
    "latexmk": ["latexmk", "-pdf", "-interaction=nonstopmode", "-halt-on-error"],
    "tectonic": ["tectonic", "--print"],
}


def compile_tables(tables: list[Table], folder: Path) -> str:
    """Compile a two-column paper of nothing but tables, with no package but booktabs; return its log."""
    engine = next((name for name in ENGINES if shutil.which(name)), None)
    if engine is None:
        pytest.skip("none of pdflatex, latexmk and tectonic is installed")
    inputs = []
    for number, table in enumerate(tables):
        (folder / f"{number}.tex").write_text(render(table), encoding="utf-8")
        inputs.append(rf"\input{{{number}}}\clearpage")
    head = "\\documentclass[twocolumn]{article}\n\\usepackage{booktabs}\n"
    # the measures that conferences give to two columns
    head += "\\setlength{\\textwidth}{495pt}\\setlength{\\columnsep}{15pt}\n"
    (folder / "paper.tex").write_text(
        f"{head}\\begin{{document}}\n{chr(10).join(inputs)}\n\\end{{document}}\n", encoding="utf-8"
    )
    done = subprocess.run([*ENGINES[engine], "paper.tex"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (folder / "paper.pdf").stat().st_size > 10_000
    return done.stdout


def test_every_table_of_a_study_compiles_and_fits(tmp_path: Path) -> None:
    """All tables of a report, in one document: no error, and no box wider than its place."""
    tables = [table for section in build_sections(make_findings()) for table in section.tables]
    assert len(tables) > 10
    log = compile_tables(tables, tmp_path)
    assert "Overfull" not in log


def test_nasty_text_compiles(tmp_path: Path) -> None:
    """Every character that LaTeX knows better may stand in labels, headings, groups, notes and marks."""
    text = NASTY + '$[x]*<y>|"z"`--`–−×→≥≤†‡·±…²Δσé“q” '
    cell = Cell(text, interval=text, mark="†‡*a", strong=True, number=make_estimate(0.5))
    columns = (Column(text, group=text, align="left", unit="text"), Column(text, group=text))
    rows = (Row((cell, cell), group=text), Row((Cell("[a] long text " * 20), Cell("*")), is_total=True))
    log = compile_tables([Table("a_b%", text, columns, rows, (text, text)), small_table()], tmp_path)
    assert "Missing character" not in log


def test_a_table_too_wide_is_set_in_panels(tmp_path: Path) -> None:
    """Twenty numbers with intervals stand in several tabulars of one float, each with the names."""
    columns = [Column(f"task_{i}", group=f"domain {i // 5}") for i in range(20)]
    row = Row((Cell("checkpoint"), *(Cell("50.0", interval="+40.0 to +60.0") for _ in columns)))
    table = Table("wide", "Wide", (Column("name", align="left", unit="text"), *columns), (row,))
    text = render(table)
    assert text.count(r"\begin{table*}") == 1
    assert text.count(r"\begin{tabular}") == text.count("name & ") == 3
    assert text.count("50.0") == 20
    assert "Overfull" not in compile_tables([table], tmp_path)


def test_a_table_is_set_with_booktabs() -> None:
    """Groups, rules, intervals below, marks that push no digit, and a label to refer to."""
    assert render(small_table()).splitlines() == [
        r"\begin{table*}[t]",
        r"\centering",
        r"\small",
        r"\setlength{\tabcolsep}{4pt}",
        r"\caption{Scores}",
        r"\label{tab:small}",
        r"\smallskip",
        r"\begin{tabular}{@{}lrrrr@{}}",
        r"\toprule",
        r" & \multicolumn{2}{c}{math} &  &  \\",
        r"\cmidrule(lr){2-3}",
        r"checkpoint & gsm8k & gain & truncated & prompts \\",
        r"\midrule",
        r"\multicolumn{5}{@{}l}{\textit{candidates}} \\",
        r"a\_b\%c\&d\#e\textasciitilde{}f\textasciicircum{}g\textbackslash{}h\{i\}"
        r" & 50.0 & $-$5.0 & 25 $\rightarrow$ 12 \% & 5,000 \\[-2pt]",
        r"{\scriptsize avg@4} & {\scriptsize 40.0--60.0} & {\scriptsize $-$15.0 to +5.0} &  &  \\[2pt]",
        r"pipe\textbar{}\textasteriskcentered{}star\textasteriskcentered{}"
        r" & \textbf{62.5} & +25.0\rlap{$^{\dagger}$} & 25 $\rightarrow$ 12 \% & 5,000 \\[-2pt]",
        r"{\scriptsize avg@4} & {\scriptsize 52.5--72.5} & {\scriptsize +15.0 to +35.0} &  &  \\[2pt]",
        r"\midrule",
        r"average & 56.2 & -- &  &  \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\par\smallskip",
        r"\parbox{\linewidth}{\footnotesize\raggedright \textdagger{} p \textless{} .05, 95 \% of a\_b; "
        r"$-$1 $\rightarrow$ 2 $\geq$ 1 $\times$ “ok”}",
        r"\end{table*}",
    ]


def test_a_narrow_table_takes_one_column() -> None:
    """Three short columns need no page width."""
    columns = (Column("x", align="left", unit="text"), Column("transferability index"))
    text = render(Table("t", "T", columns, (Row((Cell("a"), Cell("1.0"))),)))
    assert text.startswith("\\begin{table}[t]")
    assert r"x & \shortstack[r]{transferability\\index} \\" in text


def test_outer_gaps_take_no_room() -> None:
    """`@{}` at both ends leaves 240 points for 46 characters and one gap; one character more takes both columns."""
    for name, environment in (("x" * 23, "table"), ("x" * 24, "table*")):
        columns = (Column("n", align="left", unit="text"), Column("n"))
        text = render(Table("t", "", columns, (Row((Cell(name), Cell("1" * 23))),)))
        assert text.startswith(f"\\begin{{{environment}}}[t]")


def test_a_groups_heading_takes_the_room_it_needs() -> None:
    """A heading wider than its columns makes the table wider."""
    columns = (Column("n", align="left", unit="text"), Column("a", "x" * 30), Column("b", "y" * 30))
    assert render(Table("t", "", columns, ())).startswith("\\begin{table*}[t]")


def test_a_label_of_a_hundred_characters_fits(tmp_path: Path) -> None:
    """As a heading it is broken where it has joints, or anywhere; as a name it is a paragraph."""
    labels = ("Some-Distilled-Model_of-1.5B_random-reward@step_100", "under_score/" * 8 + "end", "x" * 100)
    for number, label in enumerate(labels):
        columns = (Column("checkpoint", align="left", unit="text"), Column(label))
        name = label if number < 2 else "a"
        table = Table(f"t{number}", "T", columns, (Row((Cell(name), Cell("50.0", "40.0–60.0"))),))
        assert re.search(r"\\begin\{tabular\}\{@\{\}(l|p\{\d+pt\})r@\{\}\}", render(table))
        assert "Overfull" not in compile_tables([table], tmp_path)
    heading = r"\shortstack[r]{Some-\\Distilled-\\Model\_of-\\1.5B\_random-\\reward@step\_\\100}"
    assert heading in render(Table("t", "", (Column("n"), Column(labels[0])), ()))


def test_each_group_has_its_rule() -> None:
    """A rule spans the columns of its own group."""
    columns = [Column("n", align="left"), *[Column("a", "one")] * 2, Column("b"), *[Column("c", "two")] * 3]
    assert "\n\\cmidrule(lr){2-3}\\cmidrule(lr){5-7}\n" in render(Table("t", "", tuple(columns), ()))


def test_totals_share_one_rule() -> None:
    """A rule sets the averages apart from the rows above, not from each other."""
    rows = [Row((Cell(name), Cell("1")), is_total=name > "b") for name in "abcd"]
    text = render(Table("t", "", (Column("n", align="left"), Column("x")), tuple(rows)))
    assert re.findall(r"^(?:\\midrule|[a-d] )", text, re.MULTILINE) == [
        "\\midrule",
        "a ",
        "b ",
        "\\midrule",
        "c ",
        "d ",
    ]


def test_long_text_is_a_paragraph() -> None:
    """A column of sentences is broken, and takes the width that is left."""
    table = Table("t", "T", (Column("x", align="left"), Column("y")), (Row((Cell("word " * 30), Cell("1.0"))),))
    assert re.search(r"\\begin\{tabular\}\{@\{\}p\{\d+pt\}r@\{\}\}", render(table))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b", r"a\_b"),
        ("--debug", "-{}-debug"),
        ("10–20", "10--20"),
        ("[x]", "{[}x{]}"),
        ("a\nb", "a b"),
        ("a\x0c\x1b\tb", "a b"),
        ("Müller", "Müller"),
        ("×†", r"$\times$\textdagger{}"),
    ],
)
def test_text_is_escaped(text: str, expected: str) -> None:
    """What is special to LaTeX is shown; two hyphens are no dash; accented letters pass."""
    assert escape(text) == expected


def test_numbers_have_a_minus() -> None:
    """A hyphen is a minus before a digit, and a hyphen elsewhere."""
    assert escape_number("-5.0") == "$-$5.0"
    assert escape_number("1e-5") == "1e-5"
