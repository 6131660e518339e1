"""The report page: it fetches nothing, escapes everything, hides nothing, and is the same bytes for the same inputs."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import scored
from pydantic import BaseModel, ConfigDict
from safetensors.numpy import save_file

from kmerl.archives.schemas import REJECTED, SPLITS
from kmerl.artifacts import frame, write_json, write_table
from kmerl.documents import Code, Count, Heading, document, grid, write_document
from kmerl.documents.html import html
from kmerl.errors import UserError
from kmerl.evaluation.schemas import AVERAGE, MACRO
from kmerl.evaluations.registry import rooms
from kmerl.knowledge.hierarchy import Entity, hierarchy
from kmerl.knowledge.labels import LabelsParams, make_labels
from kmerl.knowledge.schemas import STUDIES, TRACE, UNUSABLE, UNUSED, VERIFIED
from kmerl.knowledge.vocabulary import make_vocabulary
from kmerl.leads import LEADS
from kmerl.origins import LEARNT, mark, of_archives
from kmerl.page import facts, rejected, results, texts
from kmerl.page.headline import headlines
from kmerl.plan import Run, Suite
from kmerl.shards import RECORDS
from stages import report

ROOT = Path(__file__).parent.parent
EVIL = "<script>alert('x')</script> & <img src=http://far.away/x.png>"
SVG = "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'>\n<path d='M 1 1\nL 8 8'/></svg>\n"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20 + b"IEND\xaeB`\x82"
VOID = {"meta", "img", "br", "hr", "link", "input"}
ENCODER = {
    "kind": "vit", "pooling": "mean", "shape": {"width": 8, "depth": 2, "heads": 2}, "resnet_width": 8,
    "feed_forward_ratio": 2.0, "dropout": 0.0, "lead_embedding": True, "time_embedding": True,
}  # fmt: skip


class Loose(BaseModel):
    """Stands for any section of the parameters."""

    model_config = ConfigDict(extra="allow")


class Reader(HTMLParser):
    """What a browser would make of a page; a tag that is not closed where it should be is an error."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.ids, self.open, self.data = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.data.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.data).split())


def store(folder, origin, splits):
    n = len(splits)
    values = {
        "record_id": [f"r{i}" for i in range(n)], "patient_id": ["p1"] * n, "shard": [0] * n, "row": list(range(n)),
        "fs": [500.0] * n, "length": [5000] * n, "leads": [4095] * (n - 1) + [3], "flags": [["flat_lead"]] * n,
    }  # fmt: skip
    per_lead = {name: [[0] * 12] * n for name in RECORDS.names if name not in values}
    table = pl.DataFrame(values | per_lead).select(RECORDS.names)
    types = pl.DataFrame(pl.from_arrow(RECORDS.empty_table())).schema
    metadata = {"archive": folder.name, "origin": origin, "fs": 500, "samples": 5000}
    write_table(folder / "records.parquet", table.cast(types), RECORDS, metadata)
    divided = table.select("record_id").with_columns(split=pl.Series(splits))
    write_table(folder.parent.parent / f"splits/{folder.name}.parquet", divided, SPLITS)


def run_folder(folder, method, steps):
    folder.mkdir(parents=True)
    save_file({"a": np.zeros((3, 4), np.float32), "b": np.zeros(5, np.float32)}, folder / "model.safetensors")
    trained = {"archive": "mimic_iv_ecg", "origin": "simulated", "records": 3, "reports": 2}
    config = {
        "method": method.lower(),
        "title": method,
        "steps": steps,
        "trained_on": trained,
        "model": {"encoder": ENCODER},
    }
    write_json(folder / "config.json", config)
    losses = [2.5, 1.25][:steps]
    rows = [(step, "loss", loss) for step, loss in enumerate(losses, 1)]
    schema = {"step": pl.Int32, "name": pl.String, "value": pl.Float64}
    pl.DataFrame(rows, schema, orient="row").write_parquet(folder / "history.parquet")


def scores(**values):
    """The average of each run with lead I."""
    rows = [(run, AVERAGE, "I", MACRO, value, value - 0.05, value + 0.05) for run, value in values.items()]
    return pl.DataFrame(rows, ["run", "dataset", "leads", "metric", "value", "low", "high"], orient="row")


def pairs(*rows):
    """Runs, their difference and its interval."""
    names = ["run", "other_run", "difference", "low", "high"]
    return pl.DataFrame(rows, names, orient="row").with_columns(
        kind=pl.lit("runs"), dataset=pl.lit(AVERAGE), leads=pl.lit("I"), metric=pl.lit(MACRO)
    )


PAIRS = pairs(("theirs", "ours", -0.25, -0.3, -0.2), ("ours", "fresh", 0.2, 0.1, 0.3))


def store_table(path, table):
    write_table(path, table, table.to_arrow().schema)


def build(origin="simulated"):
    """What the stages before the page leave, in the current folder, small and invented; its parameters."""
    data = Path("data")
    store(data / "waveforms/mimic_iv_ecg", origin, ["train", "train", "valid"])
    store(data / "waveforms/ptb_xl", origin, ["test", "test"])
    for name in ("mimic_iv_ecg", "ptb_xl"):
        lost = [("r8", "too_short", EVIL), ("r9", "too_short", "1 s")] if name == "ptb_xl" else []
        types = dict.fromkeys(["record_id", "reason", "detail"], pl.String)
        write_table(data / f"rejected/{name}/1of1.parquet", pl.DataFrame(lost, types, orient="row"), REJECTED)
    studies = pl.DataFrame({"record_id": ["r0", "r1", "r2"], "report_id": ["x", "x", "y"]})
    write_table(data / "reports/studies.parquet", studies, STUDIES)
    short = pl.DataFrame({"record_id": ["r7"], "reason": ["fewer than 4 words"], "text": ["svt."]})
    write_table(data / "reports/rejected.parquet", short, UNUSED)
    merged = {"a-fib": "atrial fibrillation", EVIL: "atrial fibrillation", "mi": "infarction"}
    groups = {"arrhythmia": ["atrial fibrillation"]}
    knowing = data / "knowledge/base"
    write_json(knowing / "merge/merged.json", merged)
    write_json(knowing / "merge/checks.json", {"invented": ["ghost"], "cycles": [["a", "b"]], "missing": []})
    write_json(knowing / "superclass/checks.json", {"unknown": {"arrhythmia": ["nobody"]}, "small": {}})
    written = [("x", "a-fib"), ("y", EVIL), ("x", "mi")]
    verified = [(*one, "yes", True, None, False, True, "q") for one in written]
    verified.append(("y", "mi", "no", True, True, True, False, "q"))
    write_table(knowing / "verify/1of1/verified.parquet", frame(verified, VERIFIED), VERIFIED)
    for step in ("extract/1of1", "verify/1of1", "merge", "superclass"):
        lost = [("y", "no list", EVIL, "q")] if step.startswith("extract") else []
        write_table(knowing / step / "unusable.parquet", frame(lost, UNUSABLE), UNUSABLE)
    bits = [
        (report_id, query, merged[entity], entity, None, None, "q", "q")
        for report_id, entity in written
        for query in [merged[entity], *(["arrhythmia"] if merged[entity] in groups["arrhythmia"] else [])]
    ]
    types = pl.DataFrame(pl.from_arrow(TRACE.empty_table())).schema
    (data / "labels/base").mkdir(parents=True)
    make_labels(
        studies, {}, pl.DataFrame(bits, types, orient="row"), merged, groups,
        LabelsParams(min_records=1, without_entities="keep"), data / "labels/base", {},
    )  # fmt: skip
    for name, method, steps in (("ours", "K-MERL", 2), ("theirs", "MERL", 2), ("fresh", "K-MERL", 0)):
        run_folder(data / "runs" / name, method, steps)
    tables, figures = data / "tables", Path("results/figures")
    for folder in (tables, figures):
        folder.mkdir(parents=True)
        (folder / ".snakemake_timestamp").touch()
    store_table(tables / "zeroshot_auc.parquet", scores(ours=0.75, theirs=0.5))
    store_table(tables / "comparisons_auc.parquet", PAIRS)
    cells = grid(["Task", "AUC"], [[EVIL, Count(7)]], right=[1])
    one = document("Old title", f"In short, {EVIL}.", Heading("Run"), ["named ", Code(EVIL)], cells)
    for stem in ("zeroshot_auc", "comparisons_auc", "new_table"):
        write_document(tables / f"{stem}.json", one)
    sections = [{"id": "zeroshot", "title": "Zero-shot", "text": "Asked by name."}]
    shown = [
        {"name": name, "section": "zeroshot", "title": name, "text": EVIL}
        for name in ("zeroshot_auc", "comparisons_auc")
    ]
    write_json(tables / "index.json", {"sections": sections, "tables": shown})
    examples = [
        {
            "name": f"ecg_example_{k}",
            "section": "examples",
            "title": f"Evaluated record {k}",
            "text": "",
            "wide": True,
        }
        for k in (9, 10)
    ]
    write_json(data / "figures.json", [shown[0], *examples])
    (figures / "zeroshot_auc.svg").write_text(SVG)
    for stem in ("ecg_example_10", "ecg_example_9", "new_figure"):
        (figures / f"{stem}.png").write_bytes(PNG)
    write_json("results/metrics.json", {"ours": {"I": {"average": 0.75}}})
    loop = Loose(batch=8, processes=2, nodes=1)
    pretrain, methods = Loose(loop=loop, model={"text": EVIL}), {"merl": {"query": {"width": 4}}}
    runs = {
        "ours": Run(method="kmerl", title="Ours, whole", paper="Table 1", knowledge={"merge": {"enabled": False}}),
        "theirs": Run(method="merl", options={"query": None}),
        "fresh": Run(method="kmerl", pretrain={"loop": {"batch": 8}}),
    }
    suite = Suite(title=f"All {EVIL}", runs=["ours", "theirs"], evaluations=["zeroshot"], compare_with="ours")
    return SimpleNamespace(
        seed=7, pretraining_archive="mimic_iv_ecg", pretrain=pretrain, methods=methods, runs=runs,
        suites={"all": suite}, text={"pooling": "mean"}, knowledge={"merge": {"enabled": True}},
        zeroshot=Loose(leads={"12 leads": [], "I": []}), evaluation=Loose(archives=["ptb_xl"], confidence=0.95),
        plan=Loose(
            pretrain={
                name: {"method": run.method, "pretrain": run.pretrain, "options": run.options}
                for name, run in runs.items()
            }
        ),
    )  # fmt: skip


@pytest.fixture
def params(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return build()


def page(params):
    report.main(params)
    return Path("results/report.html").read_text("utf-8")


# ------------------------------------------------------------------------------------------------------ the whole page


def test_the_page_fetches_nothing_and_is_well_formed(params):
    text = page(params)
    reader = Reader(text)
    assert [v for tag, name, v in reader.attributes if tag == "img" and name == "src"]
    for tag, name, value in reader.attributes:
        if name in ("src", "srcset", "poster", "data", "action", "style") or (tag == "link"):
            assert not re.search(r"https?:|//|url\(", value.split(",")[0]), (tag, name, value[:80])
        if name == "src":
            assert value.startswith("data:image/"), value[:80]
        if name == "href":
            assert value.startswith(("#", "tables/", "cards/")), value[:80]
    style = text[text.index("<style>") : text.index("</style>")]
    assert "@import" not in style
    assert "url(" not in style
    links = {value[1:] for _, name, value in reader.attributes if name == "href" and value[0] == "#"}
    assert links <= {*reader.ids}
    assert len(reader.ids) == len({*reader.ids})


def test_whatever_comes_from_data_is_escaped(params):
    reader = Reader(page(params))
    assert reader.tags.count("script") == 1
    assert reader.tags.count("img") == 4
    # in a table from Markdown and in one from CSV, an entity's name, an answer, a rejected record, a parameter
    assert reader.text.count("alert('x')") >= 6


def test_simulated_data_are_said_first_and_recorded_ones_are_not_called_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = Reader(page(build())).text
    assert "Simulated data. Every ECG" in text
    assert text.index("Simulated data.") < text.index("In short")
    (tmp_path / "real").mkdir()
    monkeypatch.chdir(tmp_path / "real")
    assert "Simulated data." not in Reader(page(build("recorded"))).text


def test_a_mixture_names_which_archives_are_simulated():
    assert of_archives({"a": "simulated", "b": "recorded"}, "ECG", LEARNT).startswith("Simulated: a. Recorded: b.")
    assert of_archives({"b": "recorded"}, "ECG", LEARNT) == ""


@pytest.mark.parametrize(
    ("shown", "learnt", "said"),
    [
        (["simulated"] * 2, ["simulated"], "simulated data"),
        (["recorded", "simulated"], ["simulated"], "partly simulated data"),
        (["recorded"], ["recorded", "simulated"], "recorded data, trained on simulated ones"),
        (["recorded"], ["recorded"], ""),
    ],
)
def test_the_title_says_what_was_scored_and_what_was_learnt_from(shown, learnt, said):
    assert mark(shown, learnt) == said


def test_the_same_inputs_give_the_same_bytes(params):
    first = page(params)
    (Path("results/figures") / "ecg_example_9.png").rename("x.png")
    Path("x.png").rename(Path("results/figures") / "ecg_example_9.png")  # another order in the folder
    assert page(params) == first


def test_every_table_and_figure_is_there_described_or_not(params):
    reader = Reader(page(params))
    shown = [one for one in reader.ids if one.startswith(("figure-", "table-"))]
    assert shown == [
        "figure-zeroshot_auc", "table-zeroshot_auc", "table-comparisons_auc", "figure-ecg_example_9",
        "figure-ecg_example_10", "figure-new_figure", "table-new_table",
    ]  # fmt: skip
    assert "Evaluated record 10" in reader.text
    assert "Old title" not in reader.text


def test_a_run_without_comparisons_probes_or_figures_has_a_page_too(params):
    for path in [
        *Path("results/figures").glob("[a-z]*"),
        *Path("data/tables").glob("*auc.json"),
        Path("data/tables/new_table.json"),
    ]:
        path.unlink()
    for name, table in (("zeroshot_auc", scores(ours=0.75)), ("comparisons_auc", PAIRS)):
        store_table(Path(f"data/tables/{name}.parquet"), table.clear())
    params.evaluation.archives.clear()
    reader = Reader(page(params))
    assert "In short" not in reader.text
    assert "img" not in reader.tags
    assert {"run", "entities", "left-out", "identity"} <= {*reader.ids}


def test_what_was_run_is_told(params):
    text = Reader(page(params)).text
    assert "mimic_iv_ecg SIMULATED pretraining 2 1 0 0 1 2 500 Hz" in text
    assert "ptb_xl SIMULATED evaluation 0 0 2 2 1 1 500 Hz" in text
    assert "ours K-MERL vit, 8 wide 17 2 16 mimic_iv_ecg (simulated), 3 records 1.250" in text
    digests = re.findall(r"\b[0-9a-f]{64}\b", text)
    assert len(digests) == 3
    vocabulary = json.loads(Path("data/labels/base/vocabulary.json").read_text())
    assert vocabulary["hash"] in text
    assert "nothing: as initialised" in text
    assert "ours (Ours, whole; Table 1), theirs zeroshot ours" in text
    assert "knowledge.merge.enabled true false" in text


def test_the_page_leads_to_the_card_of_every_run_that_was_trained(params):
    reader = Reader(page(params))
    cards = [value for _, name, value in reader.attributes if name == "href" and value.startswith("cards/")]
    assert cards == ["cards/ours.md", "cards/theirs.md"]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("results/figures/zeroshot_auc.svg", SVG[:40].encode()),
        ("results/figures/new_figure.png", PNG[:-6]),
        ("data/tables/new_table.json", b'{"title": "T", "notice": "", "blocks": [{"heading": 1}]}'),
        ("data/tables/new_table.json", b""),
        ("data/tables/index.json", b'{"sections": []}'),
        ("data/figures.json", b'[{"title": "no name"}]'),
        ("data/tables/new_table.json", b'{"title": "\xff\xfe"}'),
        ("data/tables/zeroshot_auc.parquet", b"run,dataset\nours,average\n"),
        ("results/metrics.json", b"{"),
        ("data/runs/ours/model.safetensors", b"12"),
    ],
)
def test_a_damaged_input_is_named_and_the_old_page_stays(params, file, content):
    old = page(params)
    Path(file).write_bytes(content)
    with pytest.raises(UserError, match=re.escape(file)) as caught:
        report.main(params)
    assert "\n" not in str(caught.value)
    assert Path("results/report.html").read_text("utf-8") == old


# ------------------------------------------------------------------------------------------------------------ its parts


def test_the_headline_subtracts_from_the_first_method_whichever_run_came_first(params):
    both = {"ours": "K-MERL", "theirs": "MERL"}
    (one,) = headlines(scores(ours=0.75, theirs=0.5), PAIRS, both, ["12 leads", "I"])
    assert one.leads == "I"
    assert [(score.method, score.estimate.value) for score in one.scores] == [("K-MERL", 0.75), ("MERL", 0.5)]
    (difference,) = one.differences
    assert (difference.one, difference.other) == ("ours", "theirs")
    assert (difference.estimate.low, difference.estimate.high) == (0.2, 0.3)
    assert difference.verdict == "K-MERL is higher"


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(-0.1, 0.1, "no clear difference"), (0.0, 0.1, "no clear difference"), (-0.2, -0.1, "MERL is higher")],
)
def test_the_verdict_is_what_the_interval_says(low, high, verdict):
    both = {"ours": "K-MERL", "theirs": "MERL"}
    (one,) = headlines(scores(ours=0.75, theirs=0.5), pairs(("ours", "theirs", 0.0, low, high)), both, ["I"])
    assert one.differences[0].verdict == verdict


def test_the_hierarchy_counts_records_not_reports():
    vocabulary = make_vocabulary(["af", "mi", "rhythm"], {"rhythm": ["af"]})
    rows = [("x", "af", "af", "a-fib"), ("x", "rhythm", "af", "a-fib"), ("y", "rhythm", "rhythm", "odd rhythm"),
            ("y", "mi", "mi", "infarct"), ("y", "mi", "mi", "old infarct")]  # fmt: skip
    trace = pl.DataFrame(rows, ["report_id", "query", "via", "entity"], orient="row")
    studies = pl.DataFrame({"record_id": list("abc"), "report_id": ["x", "x", "y"]})
    found = hierarchy(vocabulary, trace, studies)
    (group,) = found.groups
    assert (group.name, group.records) == ("rhythm", 3)
    assert group.own is not None
    assert group.own.names == [("odd rhythm", 1)]
    assert group.members == [Entity("af", 2, [("a-fib", 2)])]
    assert found.alone == [Entity("mi", 1, [("infarct", 1), ("old infarct", 1)])]


def test_everything_left_out_is_counted_by_reason():
    lost = pl.DataFrame({"record_id": list("abcde"), "reason": ["too_short"] * 4 + ["odd"], "detail": ["1 s"] * 5})
    tables = [
        rejected.left_out("Records", lost, "reason", "record_id", "detail"),
        rejected.left_out("None", lost.clear(), "reason", "record_id"),
        rejected.checks("Answer", {"cycles": [["a", "b"]], "small": {"group": ["member"]}, "no_list": []}),
    ]
    rows = rejected.grid(tables).rows
    assert [row[:2] + row[3:] for row in rows] == [
        ["Records", "too_short", Count(4), "a: 1 s; b: 1 s; c: 1 s"],
        ["Records", "odd", Count(1), "e: 1 s"],
        ["None", "nothing left out", Count(0), ""],
        ["Answer", "cycles", Count(1), "a, b"],
        ["Answer", "small", Count(1), "group: member"],
    ]


def test_only_what_differs_between_runs_is_shown():
    base = {"model": {"query": {"width": 4}, "depth": 2}, "loop": {"steps": 5}}
    runs = {"a": {}, "b": {"model": {"query": None}, "loop": {"steps": 5}}, "c": {"model": {"depth": 3}}}
    found = facts.differences(base, runs)
    assert found.header == ["Parameter", "All others", "a", "b", "c"]
    assert found.rows == [["model.depth", "2", "", "", "3"], ["model.query", "{width: 4}", "", "null", ""]]


def test_the_texts_of_a_document_cannot_bring_in_pictures_or_html():
    evil = "![x](http://far.away/x.png) <b>bold</b> <http://auto.link>"
    one = document("T", evil, Heading(evil), [evil, Code(evil)], grid([evil], [[evil]]))
    reader = Reader(str(html(one)))
    assert one.rows == 1
    assert not {"img", "b", "h1", "a"} & {*reader.tags}
    assert reader.text.count(evil) == 6


def test_a_huge_svg_gives_way_to_its_png(tmp_path):
    (tmp_path / "ecg_example_1.svg").write_text(SVG.replace("L 8 8", "L 8 8 " * 100_000))
    (tmp_path / "ecg_example_1.png").write_bytes(PNG)
    write_json(tmp_path / "index.json", [])
    (figure,) = results.read_figures(tmp_path, tmp_path / "index.json")
    assert figure.source.startswith("data:image/png;base64,")


def test_every_table_and_figure_of_an_evaluation_has_a_caption_in_a_section_of_the_page(tmp_path):
    runs = {
        "zeroshot": [scored.zeroshot(repeats=5)], "partial_leads": [scored.partial(repeats=5)],
        "linear_probe": [scored.probes(repeats=5)],
    }  # fmt: skip
    params = SimpleNamespace(
        evaluation=SimpleNamespace(confidence=0.95, min_positives=5),
        zeroshot=SimpleNamespace(
            leads={"12 leads": list(LEADS), "I+II": ["I", "II"], "I": ["I"]}, seen_similarity=0.95
        ),
        plan=SimpleNamespace(compare=[]),
    )
    tables, figures = rooms("tables"), rooms("figures")
    known = {section["id"] for section in texts.sections()}
    known |= {section.id for room in tables.values() for section in room.SECTIONS}
    assert {*runs} == {*tables} == {*figures}
    for name, several in runs.items():
        shown = [*tables[name].tables(several, params), *figures[name].figures(several, params, {"kmerl": ("k", "o")})]
        assert len(shown) >= 2
        for one in shown:
            assert one.caption.section in known
            assert one.caption.title and one.caption.text


def test_dvcs_own_page_of_plots_fetches_nothing_either():
    text = (ROOT / ".dvc/plots.html").read_text("utf-8")
    config = (ROOT / ".dvc/config").read_text("utf-8")
    assert "html_template = plots.html" in config
    assert "{plot_divs}" in text
    assert "{scripts}" not in text
    assert not re.search(r"(src|href)\s*=|@import|url\(|https?://", text)
