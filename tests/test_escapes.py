"""Whatever text comes from outside, every output shows it as text: no markup, no formula, no command to a terminal."""

import csv
import re
import shutil
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from unicodedata import category

import checked
import numpy as np
import polars as pl
import pytest
import scored
import test_report
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from test_mining import project  # noqa: F401
from test_predict import run  # noqa: F401

from kmerl import inspect, predict
from kmerl.artifacts import for_spreadsheets, read_json, read_table, write_json, write_table
from kmerl.documents import Bold, Code, Count, Items, document, grid
from kmerl.documents.html import html
from kmerl.documents.markdown import markdown
from kmerl.errors import UserError
from kmerl.escapes import csv_cell, csv_text, md, md_code, one_line, printable, screen
from kmerl.evaluations.linear_probe import tables as probes
from kmerl.evaluations.partial_leads import tables as partial
from kmerl.evaluations.registry import NAMES
from kmerl.evaluations.zeroshot import table_auc as zeroshot
from kmerl.evaluations.zeroshot import table_comparisons as differences
from kmerl.evaluations.zeroshot import table_queries as queries
from kmerl.evaluations.zeroshot.figure_auc import zeroshot_figure
from kmerl.evaluations.zeroshot.figure_queries import queries_figure
from kmerl.knowledge.schemas import REPORTS, TRACE, VERIFIED
from kmerl.plots.examples import Answer, Example, example_figure
from kmerl.plots.style import png, svg
from kmerl.tables import mining
from stages import mining as mining_stage
from stages import tables as tables_stage
from tests.archives import noise, write_record

EVIL = [
    "=HYPERLINK(\"http://x\",\"y\")", " \t=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\ufeff=1",
    "'=1", "''=1", "a;=1", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</td></tr></table><b>",
    "[x](javascript:alert(1))", "![x](http://far.away/x.png)", "<http://far.away>", "a | b | c", "`code", "``", "a\\",
    "\\|", "# heading", "1. one", "- item", "> quote", "---", "&lt;b&gt; &#60;b>", "**bold** _it_ ~~gone~~ ~x~",
    "$\\frac$ $x$", "line\nend\n\n# two", "\x1b[31mred\x1b]0;title\x07", "\u202egnp.exe\u2066", "\x00\x08\x7f\x9b31m",
    "[a]: http://far.away", "a\x85b\u2028c", '" onload="x', "{{ 7*7 }} {% x %}",
]  # fmt: skip
MIXED = [
    "=1+1 | `code` <b onclick=x>*it* [x](javascript:y)", "\r=1 \x1b[31m\u202e\x00 $\\frac$\nline\n\n# two",
    "# a_ &lt; <!-- ![x](y) \\", "-2+3 \" onload='x'></td></table><script>alert(1)</script> ``", "$",
]  # fmt: skip
PIECES = [*"\\`*_[]()<>!|~$#&-+=@:.'\"1a \n\t\r", "&amp;", "](", "1. ", "\x1b[", "\u202e", "\x00", "\ufeff", "＝"]
TEXTS = st.sampled_from(EVIL) | st.text() | st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
PLACES = [
    "| A | B |\n| --- | ---: |\n| %s | x |\n", "| A | B |\n| --- | ---: |\n| x | **%s** |\n", "- T: %s\n", "- %s\n",
    "## Shown: %s\n", "## %s\n", "%s\n", "before %s, after\n",
]  # fmt: skip
GITHUB = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])  # nothing is switched off


class Elements(HTMLParser):
    """Elements with the names of their attributes, and the text, of a page or a part of one."""

    def __init__(self, text):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(str(text))
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, *sorted(name for name, _ in attrs)))

    def without_code(self):
        """Without elements of names that may be plain text; a cell's class is by its length."""
        return [one[:1] if one == ("td", "class") else one for one in self.found if one != ("code",)]

    def handle_comment(self, data):
        self.found.append(("comment",))

    def handle_data(self, data):
        self.text += data


def is_formula(cell):
    """Whether a spreadsheet would evaluate a cell: it skips what cannot be seen, and then looks for a sign."""
    if re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|-+", cell, re.ASCII):
        return False
    seen = cell.lstrip("".join(one for one in cell if one.isspace() or category(one) in ("Cc", "Cf")))
    return cell[:1] in ("\t", "\r") or seen[:1] in {*"=+-@＝＋－＠"}


def cells(path):
    with Path(path).open(encoding="utf-8", newline="") as file:
        return [cell for row in csv.reader(file) for cell in row]


def read_rows(path):
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def harmless(text):
    """Neither moves a cursor nor turns a direction."""
    return all(category(one) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for one in text if one not in "\n\u200c\u200d")


# ------------------------------------------------------------------------------------------------------- the functions


@given(TEXTS)
def test_markdown_shows_a_text_and_nothing_else_wherever_it_stands(text):
    shown = one_line(text) or "word"
    for place in PLACES:
        plain = Elements(GITHUB.render(place % "word"))
        for written in (md(text) or "word", md_code(text) or "word"):
            made = Elements(GITHUB.render(place % written))
            assert made.without_code() == plain.found
            if "**" not in place or made.text != plain.text.replace("word", f"**{shown}**"):
                assert made.text == plain.text.replace("word", shown)


@given(TEXTS | st.floats(allow_nan=False).map(str) | st.integers().map("{:+}".format))
def test_no_cell_is_a_formula_and_every_text_comes_back(text):
    assert not is_formula(csv_cell(text))
    assert csv_text(csv_cell(text)) == text


@pytest.mark.parametrize("text", ["-0.12", "+3", "-1e-05", "-", "---", "", "normal ecg", "st-t", "−0.1", "it's", "'s"])
def test_numbers_and_plain_texts_are_cells_as_they_are(text):
    assert csv_cell(text) == text


def test_columns_of_numbers_are_untouched():
    table = pl.DataFrame({"name": ["=1", "b", None], "value": [-0.5, None, 2.0], "count": [-1, 2, None]})
    made = for_spreadsheets(table)
    assert made["name"].to_list() == ["'=1", "b", None]
    assert made.drop("name").equals(table.drop("name"))


@given(TEXTS | st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "L"])))
def test_nothing_that_a_terminal_obeys_is_printed(text):
    assert harmless(printable(text)) and "\n" not in printable(text)
    assert harmless(screen(text)) and screen(text).count("\n") == text.count("\n")
    screen(text).encode()


@pytest.mark.parametrize("text", ["Überleitung 2°", "心電図", "می‌شود", "a\u00a0b", "été → ✓ 😀"])
def test_honest_texts_of_any_language_are_printed_as_they_are(text):
    assert printable(text) == text


@given(TEXTS)
def test_an_error_is_one_line_whatever_it_quotes(text):
    assert harmless(str(UserError(f"{text}: no such file"))) and "\n" not in str(UserError(text))


# --------------------------------------------------------------------------------------------------------- the results


def replaced(old, new, name, schema, folder):
    """Put another text in place of one in all columns of a table."""
    for path in Path(folder).rglob(name):
        table = read_table(path, schema)
        texts = [column for column in table.columns if table[column].dtype == pl.String]
        write_table(path, table.with_columns(pl.col(texts).replace(old, new)), schema)


@pytest.mark.parametrize("text", MIXED)
def test_reports_and_entities_are_text_in_all_that_is_written_of_the_mining(project, text):  # noqa: F811
    params, _ = project

    def written():
        mining_stage.main(params)
        return {path.name: path.read_bytes() for path in Path("results/knowledge").iterdir()}

    def renamed(old, new):
        replaced(old, new, "verified.parquet", VERIFIED, "data/knowledge")
        replaced(old, new, "trace.parquet", TRACE, "data/labels")
        write_json("data/knowledge/base/merge/merged.json", dict(zip(*[[new if one == old else one for one in several]
                   for several in (merged, merged.values())], strict=True)))  # fmt: skip

    merged = read_json("data/knowledge/base/merge/merged.json")
    report = read_table("data/reports/reports.parquet", REPORTS)["text"][0]
    studies, origin = Path("data/reports"), {"origin": "simulated"}
    entity = next(name for name, into in merged.items() if name != into)
    renamed(entity, "plain name")
    before = written()
    merged = read_json("data/knowledge/base/merge/merged.json")
    renamed("plain name", text)
    table = read_table(studies / "reports.parquet", REPORTS).with_columns(pl.col("text").replace(report, text))
    write_table(studies / "reports.parquet", table, REPORTS, origin)
    for cost in Path("data/knowledge").rglob("cost.json"):
        write_json(cost, read_json(cost) | {"model": text})
    after = written()
    for name in before:
        if name.endswith(".md"):
            made, plain = (Elements(GITHUB.render(files[name].decode())) for files in (after, before))
            assert made.found == plain.found
            assert harmless(after[name].decode())
        elif name.endswith(".csv"):
            assert not any(map(is_formula, cells(f"results/knowledge/{name}")))
        elif name.endswith(".svg"):
            ET.fromstring(after[name])
    assert one_line(text) in Elements(GITHUB.render(after["reports.md"].decode())).text
    assert text in [csv_text(cell) for cell in cells("results/knowledge/reports.csv")]
    assert text in [csv_text(cell) for cell in cells("results/knowledge/cost.csv")]
    assert after["hierarchy.txt"].count(b"\n") == before["hierarchy.txt"].count(b"\n")
    assert harmless(after["hierarchy.txt"].decode())


@pytest.fixture(scope="module")
def plain_tables():
    return tables_of("plain", "12 leads")


def tables_of(name, leads):
    counts = {leads: 12, "I": 1}
    runs = [
        scored.zeroshot(name, leads=counts, repeats=5, method="kmerl"),
        scored.zeroshot("b", leads=counts, repeats=5),
    ]
    runs[0].tables["seen"][0, "nearest"] = name
    partials = [scored.partial(name, repeats=5, method="kmerl")]
    features = [scored.probes(name, leads=(leads, "I"), repeats=5, trained=None, method="kmerl")]
    compared = differences.tidy(runs, [(name, "b")], counts, 0.95)
    documents = [
        zeroshot.for_people(runs, 5, 0.95), zeroshot.classes_for_people(runs, 0.95),
        queries.for_people(runs, compared, 0.95, 0.95), differences.for_people(compared, runs, 0.95),
        probes.for_people(features, counts, 0.95), partial.for_people(partials, 0.95),
    ]  # fmt: skip
    return runs, documents


@pytest.mark.parametrize("name", MIXED)
def test_names_of_runs_and_lead_sets_are_text_in_all_tables_and_figures(name, plain_tables):
    runs, documents = tables_of(name, f"{name} leads")
    for table, plain in zip(documents, plain_tables[1], strict=True):
        for written in (lambda one: GITHUB.render(markdown(one)), html):
            made, expected = Elements(written(table)), Elements(written(plain))
            assert made.without_code() == expected.without_code()
            assert one_line(name) in " ".join(made.text.split()) and harmless(made.text)
    for figure in (zeroshot_figure(runs, [], {f"{name} leads": 12}, 0.95), queries_figure(runs, 0.95)):
        ET.fromstring(svg(figure))


def test_tables_of_runs_with_hostile_names_hold_no_formula_and_are_read_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "=1+1\n@x"
    one = scored.zeroshot(name, leads={"-I": 1}, repeats=5, method="kmerl")
    some, features = scored.partial(name, repeats=5, method="kmerl"), scored.probes(name, repeats=5, method="kmerl")
    scored.write(tmp_path, [one], [some], [features])
    params = SimpleNamespace(
        evaluation=SimpleNamespace(confidence=0.95, min_positives=5),
        zeroshot=SimpleNamespace(leads={"-I": ["I"]}, seen_similarity=0.95),
        plan=SimpleNamespace(compare=[], **dict.fromkeys(NAMES, scored.planned([name]))),
    )  # fmt: skip
    tables_stage.main(params)
    tables = sorted(Path("results/tables").glob("*.csv"))
    assert len(tables) == 7
    for path in tables:
        assert not any(map(is_formula, cells(path)))
    rows = read_rows(Path("results/tables/zeroshot_auc.csv"))
    assert (name, "-I") in {(csv_text(row["run"]), csv_text(row["leads"])) for row in rows}


def test_a_page_made_from_hostile_texts_has_the_elements_of_one_made_from_harmless_ones(tmp_path, monkeypatch):
    pages = {}
    hostile = [one for one in EVIL if '"' not in one and "\n" not in one and not {*one} & {*"[]*_~`|#\\>-+.\r"}]
    for text in (*hostile, "<b>", "x" * 40):
        folder = tmp_path / str(len(pages))
        folder.mkdir()
        monkeypatch.chdir(folder)
        # a cell's class is by its length
        monkeypatch.setattr(test_report, "EVIL", text.ljust(40, "."))
        pages[text] = test_report.page(test_report.build())
    expected = Elements(pages.pop("x" * 40))
    for text, page in pages.items():
        assert Elements(page).found == expected.found, text
        assert harmless(page.replace("\t", "")), text


@given(TEXTS, TEXTS)
def test_a_document_shows_its_texts_and_nothing_else_on_the_page_and_in_markdown(one, other):
    def made(first, second):
        cells = grid([first, Code(second)], [[[first, ": ", Bold(second)], Count(5)]])
        return document("T", first, [Code(first), f": {second}"], Items([second], of=first), cells)

    shown, plain = made(one_line(one) or "word", one_line(other) or "word"), made("word", "word")
    for written in (lambda doc: GITHUB.render(markdown(doc)), html):
        found, expected = Elements(written(shown)), Elements(written(plain))
        assert found.without_code() == expected.without_code()
        assert harmless(found.text)


def test_a_csv_file_is_read_with_the_line_ends_that_its_texts_hold(tmp_path):
    rows = [[text, "x"] for text in EVIL if "\x00" not in text]
    table = for_spreadsheets(pl.DataFrame(rows, ["a", "b"], orient="row"))
    table.write_csv(tmp_path / "a.csv")
    assert [[*map(csv_text, row.values())] for row in read_rows(tmp_path / "a.csv")] == rows


@pytest.mark.parametrize("text", MIXED)
def test_figures_show_any_text(text):
    answers = [Answer(text, {text: 0.5}, True)]
    example = Example(text, text, np.zeros((1, 100)), ["I"], 50, {"Report": text}, answers)
    for one in (example, Example(text, text, np.zeros((1, 100)), ["I"], 50, {text: text}, lists={text: [text]})):
        figure = example_figure(one)
        ET.fromstring(svg(figure))
        assert png(figure, 50).startswith(b"\x89PNG")


@pytest.mark.parametrize("path", sorted(Path("results").rglob("*.csv")), ids=str)
def test_the_committed_results_hold_nothing_that_had_to_be_escaped(path):
    texts = pl.read_csv(path).select(pl.col(pl.String)).unpivot()["value"].drop_nulls().to_list()
    assert [(csv_cell(text), md(text)) for text in texts] == [(text, " ".join(text.split())) for text in texts]


def test_the_committed_reports_are_written_as_they_are():
    frame = pl.read_csv("results/knowledge/reports.csv")
    assert scored.text_of(mining.frequent_for_people, frame, "simulated") == Path(
        "results/knowledge/reports.md"
    ).read_text("utf-8")


# -------------------------------------------------------------------------------------------------------- the commands


def test_classes_with_any_name_are_answered_written_and_drawn(run, capsys):  # noqa: F811
    names = {" ".join(name.split()): None for name in EVIL}
    options = [f"--class={name}" for name in names]
    for picture in ("a.png", "a.svg"):
        status = predict.main(
            ["--run", "run", "a.hea", *options, "--csv", "all.csv", "--plot", picture, "--context", "together"]
        )
        printed = capsys.readouterr()
        assert (status, printed.err) == (0, "")
        assert harmless(printed.out)
    assert not any(map(is_formula, cells("all.csv")))
    assert {csv_text(cell) for cell in cells("all.csv")[2::2]} == {*names}
    ET.parse("a.svg")
    assert predict.main(["--run", "run", "a.hea", "--class", "a\udcff"]) == 1
    assert capsys.readouterr().err == "predict: class 'a\\udcff' is not text in UTF-8; write it anew\n"
    assert predict.main(["--run", "run", "no\x1b[31m\nsuch.hea"]) == 1
    error = capsys.readouterr().err
    assert harmless(error) and error.count("\n") == 1


def test_a_check_writes_names_that_no_spreadsheet_runs_and_every_row_whole(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = ["=1+1", "+cmd", "-2+3", "@x", "\t=1", "\r=1", "a\rb", "a\nb", "\u202ea", "'=1", "12"]
    write_record(Path("raw/one"), noise(1))
    for i, name in enumerate(names):
        folder = Path(f"raw/{i}")
        folder.mkdir()
        shutil.copy("raw/one.hea", folder / f"{name}.hea")
        shutil.copy("raw/one.dat", folder)
    done = checked.Checked(capsys, "raw")
    assert {csv_text(row["record_id"]) for row in done.rows} == {*names, "one"}
    assert not any(is_formula(cell) for row in done.rows for cell in row.values())
    assert harmless(done.out)


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.json", "a.md", "vocabulary.json"])
def test_whatever_a_file_holds_inspect_prints_it_harmlessly(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    path = Path(name)
    table = pl.DataFrame({"a": EVIL, "col\numn\x1b[31m\u202e": EVIL})
    if path.suffix == ".parquet":
        write_table(path, table, table.to_arrow().schema, {"a\nb": "\x1b[31m"})
    elif path.suffix == ".csv":
        table.write_csv(path)
    elif name == "a.json":
        write_json(path, {text: [text] for text in EVIL})
    elif name == "vocabulary.json":
        write_json(path, {"queries": EVIL, "superclasses": dict.fromkeys(EVIL, EVIL), "hash": "\x1b[31m"})
    else:
        path.write_text("\n".join(EVIL))
    assert inspect.main([name]) == 0
    out = capsys.readouterr().out
    assert harmless(out)
    if name == "a.json":
        assert len(out.splitlines()) == 1 + 2 * len(EVIL)
    elif name == "a.parquet":
        assert out.count("\n") < 30
