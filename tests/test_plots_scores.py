from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import scored
from matplotlib.colors import to_hex
from test_plots import overlaps

from kmerl.archives import classes
from kmerl.evaluation.schemas import AVERAGE
from kmerl.evaluations.linear_probe.figures import probes_figure, styles
from kmerl.evaluations.partial_leads.figures import partial_figure
from kmerl.evaluations.zeroshot.figure_auc import zeroshot_figure
from kmerl.evaluations.zeroshot.figure_queries import queries_figure
from kmerl.history import HISTORY
from kmerl.plots.style import COLOURS, MARKERS, colours_of, spread
from kmerl.plots.training import training_figure
from kmerl.results import published

SURE = 0.95
RUNS = [
    scored.zeroshot("kmerl", 0.70),
    scored.zeroshot("merl_vit", 0.71, ways=("contrastive",), fall=0.1),
    scored.zeroshot("merl_resnet18", 0.60, ways=("contrastive",), fall=0.1),
]
PARTIALS = [scored.partial("kmerl"), scored.partial("merl_vit", 0.5, scope_gap=0.03)]
FEATURES = [
    scored.probes("kmerl"),
    scored.probes("merl_vit", 0.68),
    scored.probes("random_init", 0.6, trained=None),
    scored.probes("random_convolutions", 0.65, 0.1, trained=None),
]
COLOUR_OF = colours_of(["kmerl", "merl_vit", "merl_resnet18", "random_init", "random_convolutions"])
COLOURS_DRAWN = {name: to_hex(colour) for name, (colour, _) in COLOUR_OF.items()}


def history(steps=40, names=("contrastive", "query", "valid_query", "valid_auc"), pulls=(), **changed):
    falling = np.linspace(1, 0.5, steps)
    rows = [
        (step, name, value)
        for name in ("loss", *names, *pulls)
        for step, value in enumerate(changed.get(name, falling), 1)
        if not name.startswith(("valid_", "gradient_")) or step % 10 == 0
    ]
    return pl.DataFrame(
        rows, schema=dict(zip(HISTORY.names, (pl.Int32, pl.String, pl.Float64), strict=True)), orient="row"
    )


CURVES = {"contrastive": "ECG-report loss", "query": "ECG-entity loss", "auc": "Entities, AUC", "views": "of no run"}
BARE = history(names=("contrastive", "valid_auc"), pulls=["gradient_contrastive"])
PULLS = {"gradient_contrastive": np.linspace(3, 2, 40), "gradient_query": np.linspace(1, 0.05, 40)}
HISTORIES = {"kmerl": history(pulls=PULLS, **PULLS), "merl_vit": BARE, "merl_resnet18": BARE, "random_init": history(0)}


def zeroshot(runs=RUNS, printed=None):
    return zeroshot_figure(runs, published.zeroshot() if printed is None else printed, scored.LEADS, SURE, COLOUR_OF)


DRAWN = {
    "zeroshot": zeroshot,
    "queries": lambda: queries_figure(RUNS, SURE, COLOUR_OF),
    "partial": lambda: partial_figure(PARTIALS, published.zeroshot(), SURE, COLOUR_OF),
    "probes": lambda: probes_figure(FEATURES, published.probes(), scored.LEADS, SURE, COLOUR_OF),
    "training": lambda: training_figure(HISTORIES, CURVES, "Pretraining on toy (simulated data)", COLOUR_OF),
}


@pytest.fixture(scope="module")
def figures():
    return {name: draw() for name, draw in DRAWN.items()}


def points(axes, colour):
    """The markers of one colour."""
    lines = [line for line in axes.get_lines() if line.get_marker() not in ("None", "", None)]
    return [
        point for line in lines if to_hex(line.get_color()) == colour for point in zip(*line.get_data(), strict=True)
    ]


def shown_ticks(axis):
    """The labels of the ticks within an axis; others exist but are not drawn."""
    low, high = sorted(axis.get_view_interval())
    return [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]


@pytest.mark.parametrize("name", DRAWN)
def test_titles_say_that_data_are_simulated(name, figures):
    assert "simulated" in figures[name].texts[0].get_text()


def test_titles_say_that_recorded_ecgs_are_asked_of_a_model_trained_on_simulated_ones():
    one = scored.zeroshot(ways=("query",), origin="recorded")
    assert "recorded (trained on simulated) data" in zeroshot([one]).texts[0].get_text()


@pytest.mark.parametrize("name", DRAWN)
def test_labels_lie_on_the_figure_and_do_not_overlap(name, figures):
    figure = figures[name]
    figure.canvas.draw()
    texts = [*figure.texts, *[text for legend in figure.legends for text in legend.get_texts()]]
    for axes in figure.axes:
        texts += [*axes.texts, axes.xaxis.label, axes.yaxis.label, axes.title, axes._left_title]
        texts += [*shown_ticks(axes.xaxis), *shown_ticks(axes.yaxis)]
    boxes = [text.get_window_extent() for text in texts if text.get_text() and text.get_visible()]
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 + 1 for box in boxes)
    assert all(box.y0 >= 0 and box.y1 <= figure.bbox.y1 + 1 for box in boxes)
    if name != "partial":  # there numbers of leads stand close
        assert not [(one, other) for one, other in overlaps(boxes)]


def test_every_run_has_a_point_per_lead_set_and_task(figures):
    assert len(figures["zeroshot"].axes) == len(scored.LEADS)
    for axes, leads in zip(figures["zeroshot"].axes, scored.LEADS, strict=True):
        assert leads in axes.get_title(loc="left")
        for run in RUNS:
            found = points(axes, COLOURS_DRAWN[run.name])
            expected = run.asked(leads=leads)["value"].to_list()
            assert sorted(y for _, y in found) == pytest.approx(sorted(expected))


def test_an_undefined_task_is_left_out_of_the_figure():
    undefined = pl.when(pl.col("dataset") == "csn").then(float("nan")).otherwise("value").alias("value")
    one = replace(RUNS[1], scores=RUNS[1].scores.with_columns(undefined))
    axes = zeroshot([one], []).axes[0]
    assert len(points(axes, COLOURS_DRAWN["merl_vit"])) == len(classes.tasks())  # five and the average
    assert not [text for text in axes.texts if "nan" in text.get_text()]


def test_published_averages_stand_beside_ours_in_the_panel_of_as_many_leads(figures):
    for axes, count in zip(figures["zeroshot"].axes, scored.LEADS.values(), strict=True):
        dashed = [line for line in axes.get_lines() if line.get_linestyle() == "--"]
        assert len(dashed) == len([one for one in published.zeroshot() if one.leads == count])
        ours = max(x for run in RUNS for x, _ in points(axes, COLOURS_DRAWN[run.name]))
        assert all(min(line.get_xdata()) > ours + 0.2 for line in dashed)
    assert "published" in figures["zeroshot"].axes[-1].get_xticklabels()[-1].get_text()


def test_every_way_of_every_run_shows_seen_other_and_renamed_classes(figures):
    for axes, leads in zip(figures["queries"].axes, scored.LEADS, strict=True):
        assert len(points(axes, COLOURS_DRAWN["kmerl"])) == 3 * len(scored.ALL_WAYS)
        assert len(points(axes, COLOURS_DRAWN["merl_vit"])) == 3
        where = {"dataset": AVERAGE, "leads": leads, "way": "query", "names": "other_name"}
        other = RUNS[0].row("macro_auc_seen", **where)["value"]
        assert any(x == pytest.approx(other) for x, _ in points(axes, COLOURS_DRAWN["kmerl"]))
    labels = {label.get_text(): label.get_fontweight() for label in figures["queries"].axes[0].get_yticklabels()}
    assert labels["kmerl\nquery network"] == "bold"
    assert labels["kmerl\nmean of both"] == "normal"


def test_growing_leads_are_lines_and_a_scope_has_its_own_only_where_it_matters(figures):
    nested, single = figures["partial"].axes
    lines = {line.get_label(): line for line in nested.get_lines() if "," in str(line.get_label())}
    assert set(lines) == {"kmerl, record", "merl_vit, record", "merl_vit, visible_leads"}
    assert lines["merl_vit, record"].get_linestyle() == "-"
    assert lines["merl_vit, visible_leads"].get_linestyle() == "--"
    values = [PARTIALS[0].row(dataset=AVERAGE, leads=str(k), scope="record")["value"] for k in range(1, 13)]
    assert lines["kmerl, record"].get_ydata() == pytest.approx(values)
    assert len(points(single, COLOURS_DRAWN["kmerl"])) == 12
    assert len(points(single, COLOURS_DRAWN["merl_vit"])) == 24


def test_without_single_leads_there_is_one_panel():
    assert len(partial_figure([scored.partial(single=False)], [], SURE).axes) == 1


def test_every_feature_set_has_a_line_per_panel_and_baselines_are_dashed_without_colour(figures):
    looks = styles(FEATURES, COLOUR_OF)
    assert len(figures["probes"].axes) == 2 + 2 * len(classes.tasks())
    for axes in figures["probes"].axes:
        lines = {line.get_label(): line for line in axes.get_lines()}
        assert {run.name for run in FEATURES} <= set(lines)
        for run in FEATURES:
            line = lines[run.name]
            assert len(line.get_xdata()) == len(scored.SHARES)
            assert to_hex(line.get_color()) == looks[run.name][0]
            assert (line.get_linestyle() == "--") == run.name.startswith("random")
    assert not {looks["random_init"][0], looks["random_convolutions"][0]} & set(COLOURS)
    twelve, lead_one = figures["probes"].axes[:2]
    assert any("K-MERL 0.892" in text.get_text() for text in twelve.texts)
    assert not lead_one.texts


def test_training_shows_every_run_that_was_trained_and_says_who_lacks_a_loss(figures):
    entries = [text.get_text() for text in figures["training"].legends[0].get_texts()]
    assert entries[:3] == ["kmerl", "merl_vit", "merl_resnet18"]
    assert "random_init" not in entries
    report, entity, *_ = figures["training"].axes
    assert {to_hex(line.get_color()) for line in report.get_lines()} == {
        COLOURS_DRAWN[name] for name in ("kmerl", "merl_vit", "merl_resnet18")
    }  # fmt: skip
    assert [text.get_text() for text in entity.texts] == ["without merl_vit,\nmerl_resnet18"]
    assert not report.texts


def test_training_shows_how_strongly_each_loss_pulls_at_the_encoder(figures):
    *_, axes = figures["training"].axes
    drawn = {(to_hex(line.get_color()), line.get_linestyle()): line for line in axes.get_lines()}
    kmerl, merl = COLOURS_DRAWN["kmerl"], COLOURS_DRAWN["merl_vit"]
    assert drawn[kmerl, "--"].get_xydata()[-1].tolist() == pytest.approx([40, 0.05])
    assert (merl, "-") in drawn and axes.get_yscale() == "log"
    ticks = [label.get_text() for label in axes.get_yticklabels()]
    assert {"0.1", "1"} <= {*ticks} and not any("$" in tick for tick in ticks)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["ECG-report loss", "ECG-entity loss"]
    without = training_figure({"kmerl": history()}, CURVES, "title")
    assert len(without.axes) == len(figures["training"].axes) - 1


def test_the_first_losses_do_not_press_the_others_together():
    steep = history(1000, contrastive=[60.0] * 3 + [1.0] * 997)
    axes = training_figure({"kmerl": steep}, CURVES, "title").axes[0]
    assert axes.get_ylim()[1] < 10


def test_a_run_has_the_same_colour_in_all_figures_and_no_two_share_a_marker():
    looks = colours_of(["a", "b", "a", "c", "d", "e", "f"])
    assert len(set(looks.values())) == 6 == len(COLOURS) == len(MARKERS)
    assert colours_of(["a", "b"])["b"] == looks["b"]


def test_labels_are_spread_downwards_in_their_order():
    assert spread([0.6, 0.7, 0.69], 0.05) == pytest.approx([0.6, 0.7, 0.65])
    assert spread([0.66, 0.7, 0.69], 0.05) == pytest.approx([0.6, 0.7, 0.65])
    assert spread([], 0.1) == []
