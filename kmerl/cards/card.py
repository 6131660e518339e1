"""The model card of one run: Markdown with the front matter that model hubs read."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kmerl.cards.failures import LeadSets, largest_falls, most, rare, unasked, weak
from kmerl.cards.learnt import Learnt
from kmerl.documents import (
    Block,
    Bold,
    Cell,
    Code,
    Count,
    Decimal,
    Document,
    Grid,
    Heading,
    Items,
    Listing,
    Span,
    Text,
    document,
    estimate,
    grid,
)
from kmerl.documents.markdown import markdown
from kmerl.documents.numbers import count
from kmerl.escapes import printable
from kmerl.evaluation.schemas import AVERAGE, MACRO, MACRO_MIN
from kmerl.leads import LEADS
from kmerl.origins import SIMULATED
from kmerl.page.texts import explain
from kmerl.page.values import flat, value
from kmerl.results.names import PROBES, REPORT_LANGUAGES, SCOPES, share_name, title
from kmerl.results.runs import Run
from kmerl.results.scores import RunScores
from kmerl.tables.origin import caveat, notice

_RULES = {"millivolt": "in mV, clipped", "minmax": "min-max to 0..1", "zscore": "z-score"}
_USE = """import kmerl

model = kmerl.load("{name}")  # the folder with this card's model.safetensors and config.json
print(model.predict(signal, leads=["I", "II"], fs=250, classes=["atrial fibrillation", "normal ECG"]))
print(model.predict("record.hea"))
"""
_COMMAND = "python -m kmerl.predict my_ecg.csv --run {name} --fs 250 --leads I\n"
_CITATION = """@article{kmerl,
  title = {Knowledge-enhanced Multimodal {ECG} Representation Learning with Arbitrary-Lead Inputs},
  author = {Liu, Che and Ouyang, Cheng and Wan, Zhongwei and Wang, Haozhe and Bai, Wenjia and Arcucci, Rossella}
}
@software{kmerl_pipeline,
  title = {{K-MERL}: a reproducible pipeline for knowledge-enhanced multimodal {ECG} representation learning},
  author = {{The K-MERL maintainers}}
}
"""


@dataclass(frozen=True)
class Facts:
    """All that a card says.

    Attributes:
        run: its folder.
        called: what people call it; None: its name.
        seeds: items that were pretrained of the same run, this one among them.
        learnt: what it learnt from.
        split: how records were divided, in words.
        batch: records per step.
        training: sections of the parameters that are not in the run's configuration, by name.
        mining: how the vocabulary came about, in words.
        entities: queries that are entities; the others are superclasses.
        licence: how the archive's own licence file begins; None where there is none.
        scores: evaluation -> this item's scores; what was not evaluated of it is not there.
        over_seeds: zero-shot scores over all seeds, of a run that has several.
        baselines: probes on features that nothing was learnt for.
        lead_sets: of the zero-shot evaluation.
        min_positives: fewest of a class about which something is said.
        confidence: of the intervals.
    """

    run: Run
    called: str | None
    seeds: Sequence[str]
    learnt: Learnt
    split: str
    batch: int
    training: Mapping[str, Any]
    mining: str
    entities: int
    licence: str | None
    scores: Mapping[str, RunScores]
    over_seeds: RunScores | None
    baselines: Sequence[RunScores]
    lead_sets: LeadSets
    min_positives: int
    confidence: float

    @property
    def simulated(self) -> bool:
        """Whether it learnt from simulated records."""
        return self.learnt.origin == SIMULATED


def card(facts: Facts) -> str:
    """The whole card; equal facts give equal text. Whatever comes from outside is escaped."""
    return front_matter(facts) + "\n" + markdown(body(facts))


def front_matter(facts: Facts) -> str:
    """What model hubs read, as YAML whose values are JSON."""
    archive = facts.learnt.archive
    tags = ["ecg", "electrocardiogram", "zero-shot-classification", str(facts.run.config["method"])]
    entries: dict[str, Any] = {
        "language": REPORT_LANGUAGES.get(archive, []),
        "license": "apache-2.0" if facts.simulated else "other",
        "license_name": None if facts.simulated else "see-the-section-licence",
        "library_name": "kmerl",
        "tags": [*tags, *(["simulated-data"] if facts.simulated else [])],
        "datasets": [f"simulated_{archive}" if facts.simulated else archive],
        "metrics": ["roc_auc"],
    }
    lines = [f"{name}: {printable(json.dumps(one, ensure_ascii=False))}" for name, one in entries.items() if one]
    return "\n".join(["---", *lines, "---", ""])


def body(facts: Facts) -> Document:
    """The sections."""
    run, zeroshot = facts.run, facts.scores.get("zeroshot")
    called = f"{facts.called}, " if facts.called else ""
    told: list[Span] = [Bold("Learnt from SIMULATED ECGs and reports"), ": its answers about a person mean nothing. "]
    above = [*(told if facts.simulated else []), *([notice([zeroshot])] if zeroshot else [])]
    return document(
        [Code(run.name), f": {called}{run.config['title']} for electrocardiograms"],
        above,
        *_model(facts),
        Heading("Use"),
        Listing(_USE.format(name=run.name), "python"),
        Listing(_COMMAND.format(name=run.name), "sh"),
        "" if zeroshot else "It was not asked for classes by name here; a method without a text side cannot be.",
        Heading("Intended use"),
        "Research on representations of ECGs: classes asked by name, and features for linear classifiers, from any "
        "subset of the twelve leads. Scores rank records by a class; they are not calibrated probabilities.",
        [Bold("It is not a medical device"), " and must inform no diagnosis and no treatment."],
        *_data(facts),
        *_training(facts),
        *_results(facts),
        Heading("Known failures"),
        *_failures(facts),
        *_licence(facts),
        Heading("Citation"),
        Listing(_CITATION, "bibtex"),
    )


def _model(facts: Facts) -> list[Block | Text]:
    config, run = facts.run.config, facts.run
    encoder, rule = config["model"]["encoder"], config["normalize"]
    scope = f" over {SCOPES[rule['scope']]}" if rule["rule"] != "millivolt" else ""
    return [
        Heading("Model"),
        _told(
            ("Method", str(config["title"])),
            ("Encoder", str(encoder["kind"])),
            ("Weights", Count(run.weights)),
            ("Input", f"{config['samples'] / config['fs']:g} s at {config['fs']:g} Hz, any of the twelve leads"),
            ("Normalisation", f"{_RULES[rule['rule']]}{scope}"),
            ("Text encoder", [Code(str(config["text"]["encoder"])), f", {config['text']['pooling']} pooling"]),
            ("SHA-256 of the weights", run.digest),
        ),
    ]


def _data(facts: Facts) -> list[Block | Text]:
    one = facts.learnt
    languages = ", ".join(REPORT_LANGUAGES.get(one.archive, [])) or "not declared by the archive"
    return [
        Heading("Training data"),
        _told(
            ("Archive", one.archive),
            ("Origin", Bold(one.origin.upper()) if facts.simulated else one.origin),
            ("Records learnt from", Count(one.records)),
            ("Patients of these", "the archive names none" if one.patients is None else Count(one.patients)),
            ("Distinct reports of these", Count(one.reports)),
            ("Language of the reports", languages),
            ("Split", facts.split),
            ("Validation records", Count(one.valid)),
            ("Training records without a usable report or label vector, left out", Count(one.without_report)),
        ),
        _counted("Records of the archive that could not be used", "reasons", one.rejected),
        _counted("Reports that could not be used", "reasons", one.unused),
        _counted("Flags of the records learnt from", "flags", one.flags),
    ]


def _told(*rows: tuple[str, Cell]) -> Grid:
    return grid(["What", "Value"], rows)


def _counted(what: str, kind: Any, counts: Counter[str]) -> Block | Text:
    """Counts by code, with what each code means."""
    rows: list[list[Cell]] = [[code, explain(kind, code), Count(n)] for code, n in sorted(counts.items())]
    return grid([what, "Meaning", "Number"], rows, [2]) if rows else f"{what}: none."


def _training(facts: Facts) -> list[Block | Text]:
    config, run = facts.run.config, facts.run
    own = {"method": config["options"], "model": config["model"], "normalize": config["normalize"]}
    parameters = [[name, value(one)] for name, one in flat({**own, "text": config["text"], **facts.training}).items()]
    asked = "" if config["options"].get("query") else " This method does not learn from them; it is validated by them."
    queries = len(config["vocabulary"])
    others = [name for name in facts.seeds if name != run.name]
    return [
        Heading("Training"),
        _told(
            ("Steps", Count(config["steps"])),
            ("Records per step", Count(facts.batch)),
            ("Leads it was shown", _shown(config["options"].get("masking"))),
            ("Seed", str(config["seed"])),
            ("The same run from other seeds", ", ".join(others) or "none"),
            ("Last training loss", None if run.loss is None else Decimal(run.loss)),
            ("Last validation AUC, over its vocabulary", None if run.valid_auc is None else Decimal(run.valid_auc)),
        ),
        f"Vocabulary: {count(queries)} queries, {count(facts.entities)} entities and "
        f"{count(queries - facts.entities)} superclasses that are no entities themselves. {facts.mining}{asked}",
        "Every parameter:",
        grid(["Parameter", "Value"], parameters),
    ]


def _shown(masking: Mapping[str, Any] | None) -> str:
    """How many leads a step saw of a record."""
    if masking is None:
        return "all of each record"
    numbers = sorted({len(LEADS) - hidden for hidden in masking["masked_leads"]})
    span = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    return f"{span} of twelve, drawn anew each time; {masking['segment_share']:.0%} of their segments hidden"


def _results(facts: Facts) -> list[Block | Text]:
    zeroshot, probes = facts.scores.get("zeroshot"), facts.scores.get("linear_probe")
    found: list[Block | Text] = [Heading("Results")]
    if zeroshot:
        tested = ", ".join(f"{name} ({origin})" for name, origin in zeroshot.archives.items())
        found += [
            f"Zero-shot macro AUC by task and lead set on {tested} [{facts.confidence:.0%} interval over resamples of "
            f"patients]; every class is asked by its plain name; normalisation sees {SCOPES[zeroshot.scope]}.",
            caveat([zeroshot]),
            _zeroshot(facts, zeroshot),
        ]
    if probes:
        found += _probes(facts, probes)
    return found if len(found) > 1 else [*found, "It was not evaluated."]


def _zeroshot(facts: Facts, run: RunScores) -> Grid:
    def row(shown: str, of: RunScores, dataset: str, metric: str) -> list[Cell]:
        rows = {one["leads"]: one for one in of.asked(metric, dataset=dataset).iter_rows(named=True)}
        first = rows[most(of, facts.lead_sets)]
        return [shown, Count(first["n"]), Count(first["classes"]), *(estimate(rows.get(one)) for one in run.lead_sets)]

    rows = [row(title(task), run, task, MACRO) for task in run.tasks]
    rows.append(row("Average over the tasks", run, AVERAGE, MACRO))
    rows.append(row(f"Average, classes with at least {facts.min_positives} positives", run, AVERAGE, MACRO_MIN))
    if facts.over_seeds:
        rows.append(row(f"Average, mean of {len(facts.seeds)} seeds ± deviation", facts.over_seeds, AVERAGE, MACRO))
    return grid(["Task", "Records", "Classes, or tasks", *run.lead_sets], rows, range(1, 3 + len(run.lead_sets)))


def _probes(facts: Facts, run: RunScores) -> list[Block | Text]:
    """Probes on the most leads, and how often a baseline is above the run."""
    leads = most(run, run.metadata.get("leads", {}))
    shares, kinds = sorted({*run.scores["share"]}), run.scores["kind"].unique(maintain_order=True).to_list()
    rows: list[list[Cell]] = []
    beaten = 0
    for kind in kinds:
        found = [_by_share(one, leads, kind) for one in (run, *facts.baselines)]
        rows += [
            [PROBES.get(kind, kind), Code(one.name), *(estimate(of_one.get(share)) for share in shares)]
            for one, of_one in zip((run, *facts.baselines), found, strict=True)
        ]
        best = {share: max([0.0, *(one[share]["value"] for one in found[1:] if share in one)]) for share in shares}
        beaten += sum(share in found[0] and best[share] > found[0][share]["value"] for share in shares)
    told = f"In {beaten} of {len(kinds) * len(shares)} of these, features that nothing was learnt for reach more."
    return [
        f"Linear probes on its frozen features, and on features that nothing was learnt for: macro AUC with {leads}, "
        "averaged over the tasks, by the share of the labelled records that a probe learnt from; ± deviation over "
        "draws of a share.",
        grid(["Probe", "Features", *map(share_name, shares)], rows),
        told if facts.baselines else "",
    ]


def _by_share(run: RunScores, leads: str, kind: str) -> dict[float, Mapping[str, Any]]:
    rows = run.rows(MACRO, dataset=AVERAGE, leads=leads, kind=kind)
    return {row["share"]: row for row in rows.iter_rows(named=True)}


def _failures(facts: Facts) -> list[Block | Text]:
    zeroshot, partial = (facts.scores.get(name) for name in ("zeroshot", "partial_leads"))
    if zeroshot is None:
        return ["Not known: it was not asked for classes by name."]
    sets = {row["leads"]: row["names"] for row in partial.tables["leads"].to_dicts()} if partial else facts.lead_sets
    return [
        *weak(zeroshot, facts.min_positives),
        *largest_falls(partial or zeroshot, sets, facts.confidence),
        rare(zeroshot, most(zeroshot, facts.lead_sets), facts.min_positives),
        unasked(zeroshot),
    ]


def _licence(facts: Facts) -> list[Block | Text]:
    code: Text = "The code: Apache-2.0."
    if facts.simulated:
        return [Heading("Licence"), Items([code, "The records and reports: simulated by the same code."])]
    begins = (
        f"its LICENSE.txt begins: {facts.licence}" if facts.licence else "its folder holds no LICENSE.txt; ask there"
    )
    data = f"The records and reports of {facts.learnt.archive}: {begins}."
    weights = (
        "The weights: nobody has given them one; what the data's licence asks for holds for whoever passes them on."
    )
    return [Heading("Licence"), Items([code, data, weights])]
