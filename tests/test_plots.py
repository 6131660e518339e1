import numpy as np
import pytest

from kmerl.errors import UserError
from kmerl.leads import LEADS
from kmerl.plots.ecg import ecg_paper, lay_out
from kmerl.plots.examples import Answer, Example, choose, example_figure
from kmerl.plots.style import MM_PER_INCH, save
from kmerl.randomness import generator

FS = 500


def signal(leads=12, seconds=10, fs=FS):
    """1 mV for 0.1 s once a second over a little noise, baseline 0.2 mV."""
    time = np.arange(int(seconds * fs)) / fs
    pulse = 0.2 + ((time % 1 >= 0.5) & (time % 1 < 0.6))
    return pulse + generator(0).normal(scale=0.001, size=(leads, len(time)))


def inches(axes, points):
    """Where data points lie on the figure."""
    return axes.transData.transform(points) / axes.get_figure(root=True).dpi


def traces(axes):
    """Lines of the ECG: all but calibration pulses (6 points) and the marks between leads (2)."""
    return [line for line in axes.get_lines() if len(line.get_xdata()) > 6]


@pytest.mark.parametrize("leads", [["I"], ["I", "II"], ["V1", "I", "aVF", "II", "III"], list(LEADS)])
def test_a_millivolt_is_10_mm_and_a_second_25_mm_on_paper(leads):
    figure = ecg_paper(signal(len(leads)), leads, FS, "title")
    line = traces(figure.axes[0])[-1]  # of the whole time
    x, y = inches(figure.axes[0], line.get_xydata()).T * MM_PER_INCH
    assert y.max() - y.min() == pytest.approx(10, abs=0.1)
    assert x.max() - x.min() == pytest.approx(250, abs=0.2)
    rises = x[1:][(np.diff(y) > 5)]
    assert np.diff(rises) == pytest.approx(25, abs=0.1)


def test_the_calibration_pulse_is_1_mv_for_200_ms():
    axes = ecg_paper(signal(1), ["I"], FS).axes[0]
    pulse = next(line for line in axes.get_lines() if len(line.get_xdata()) == 6)
    x, y = inches(axes, pulse.get_xydata()).T * MM_PER_INCH
    assert y.max() - y.min() == pytest.approx(10)
    assert x[3] - x[2] == pytest.approx(5)


def test_the_file_has_the_papers_size(tmp_path):
    figure = ecg_paper(signal(), LEADS, FS)
    save(figure, tmp_path / "ecg", 100)
    sheet = lay_out(signal(), LEADS, FS)
    with (tmp_path / "ecg.png").open("rb") as file:
        width, height = np.frombuffer(file.read(24)[16:], ">u4")
    assert width / 100 * MM_PER_INCH == pytest.approx(sheet.width, abs=0.3)
    assert height / 100 * MM_PER_INCH == pytest.approx(sheet.height, abs=0.3)


def test_twelve_leads_stand_in_their_usual_places():
    sheet = lay_out(signal(), LEADS, FS)
    grid = [[strip.lead for strip in sheet.strips if strip.row == row] for row in range(4)]
    assert grid == [["I", "aVR", "V1", "V4"], ["II", "aVL", "V2", "V5"], ["III", "aVF", "V3", "V6"], ["II"]]
    assert {strip.left for strip in sheet.strips} == {15 + 62.5 * i for i in range(4)}


def test_leads_are_placed_by_name_not_by_position():
    order = generator(1).permutation(12)
    shuffled = lay_out(signal()[order], [LEADS[i] for i in order], FS)
    for ours, theirs in zip(lay_out(signal(), LEADS, FS).strips, shuffled.strips, strict=True):
        assert ours.lead == theirs.lead
        np.testing.assert_array_equal(ours.trace, theirs.trace)


def test_a_missing_lead_leaves_its_place_empty():
    leads = [lead for lead in LEADS if lead != "V3"]
    sheet = lay_out(signal(11), leads, FS)
    assert [strip.lead for strip in sheet.strips if strip.trace is None] == ["V3"]
    assert [strip.lead for strip in sheet.strips][:12] == list(LEADS)
    texts = [text.get_text() for text in ecg_paper(signal(11), leads, FS).axes[0].texts]
    assert texts.count("not recorded") == 1


def test_thinning_keeps_every_peak():
    spike = np.zeros((1, 5000))
    spike[0, [777, 1234, 4001]] = [1, -1, 2]
    axes = ecg_paper(spike, ["V2"], FS).axes[0]
    line = traces(axes)[0]
    baseline = lay_out(spike, ["V2"], FS).baselines[0]
    assert {-10, 10, 20} <= set(np.round(line.get_ydata() - baseline, 6))


@pytest.mark.parametrize(
    ("values", "leads", "fs", "words"),
    [
        (signal(2), ["I"], FS, "one row of samples per lead name"),
        (signal(2), ["I", "lead i"], FS, "twice"),
        (signal(1), ["X"], FS, "not one of"),
        (signal(1), ["I"], 0, "samples per second"),
        (np.empty((1, 0)), ["I"], FS, "one row of samples"),
    ],
)
def test_unusable_ecgs_are_refused_in_one_line(values, leads, fs, words):
    with pytest.raises(UserError, match=words):
        ecg_paper(values, leads, fs)


def test_dead_and_missing_samples_are_drawn():
    values = signal(3)
    values[0], values[1, 100:900] = np.nan, np.nan
    values[2, 50] = 40  # mV, an artefact
    assert ecg_paper(values, ["I", "II", "V1"], FS).get_size_inches()[1] * MM_PER_INCH < 150


def test_examples_differ_in_their_labels_and_are_the_same_for_a_seed():
    labels = {f"r{i}": ["sinus rhythm", f"finding {i % 3}"] for i in range(30)}
    chosen = choose(labels, 3, 1, "toy")
    assert len({labels[one][1] for one in chosen}) == 3
    assert choose(dict(reversed(labels.items())), 3, 1, "toy") == chosen
    assert any(choose(labels, 3, seed, "toy") != chosen for seed in range(2, 6))
    assert len(choose(labels, 99, 1)) == 30


def figures():
    values = {"12 leads": 1.0, "I": 0.01}
    names = {"normal ECG": False, "low QRS voltages in the frontal and other leads": True}
    answers = [Answer(name, values, true) for name, true in names.items()]
    texts = {"Report": "costs $5 and $6 " * 60, "Labels": ""}
    example = Example("toy record r1", "flags", signal(), LEADS, FS, texts, answers)
    return {
        "answers": example_figure(example),
        "lists": example_figure(Example("r", "", signal(2), ["I", "II"], FS, texts, lists={"Entities": ["a"] * 99})),
    }


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folders = [tmp_path_factory.mktemp("figures") for _ in range(2)]
    for folder in folders:
        for name, figure in figures().items():
            save(figure, folder / name, 100)
    return folders


def test_figures_are_the_same_bytes_again_and_small(files):
    first, second = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in files)
    assert first == second
    assert len(first) == 4
    for name, content in first.items():
        assert len(content) < (300_000 if name.endswith("png") else 500_000), name
        assert b"<dc:date>" not in content


def test_texts_beside_an_ecg_do_not_overlap():
    figure = figures()["answers"]
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.texts if text.get_text()]
    boxes += [figure.axes[1].get_legend().get_window_extent()]
    boxes += [label.get_window_extent() for label in figure.axes[1].get_yticklabels()]
    assert not list(overlaps(boxes))
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes)


def overlaps(boxes):
    """Pairs of boxes of texts that share more than two pixels of height."""
    for i, one in enumerate(boxes):
        for other in boxes[i + 1 :]:
            width = min(one.x1, other.x1) - max(one.x0, other.x0)
            if width > 0 and min(one.y1, other.y1) - max(one.y0, other.y0) > 2:
                yield one, other
