"""Write the model card of every trained run, made from what was computed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kmerl.artifacts import read_table, whole
from kmerl.cards.card import Facts, card
from kmerl.cards.learnt import Learnt, learnt
from kmerl.errors import UserError
from kmerl.evaluations import linear_probe, partial_leads, zeroshot
from kmerl.knowledge.schemas import STUDIES, UNUSED
from kmerl.knowledge.vocabulary import Vocabulary, load_labels
from kmerl.regular import open_regular
from kmerl.results.runs import Run, read_run, records_per_step
from kmerl.results.scores import RunScores
from kmerl.section import laid_over
from stages._places import DATA, REPORTS, labels
from stages._scores import read_room
from stages._stores import open_store, rejected_records

OUT, LICENCE = Path("results/cards"), "LICENSE.txt"
ROOMS = {"zeroshot": zeroshot, "partial_leads": partial_leads, "linear_probe": linear_probe}
_LONGEST = 300  # bytes of a line


def licence(folder: Path, manifest: Path) -> str | None:
    """How an archive's own licence file begins; None if it has none."""
    if LICENCE not in read_table(manifest)["path"]:
        return None
    with open_regular(folder / LICENCE) as file:
        lines = (file.readline(_LONGEST).decode("utf-8", "replace").strip() for _ in range(10))
        return next(filter(None, lines), None)


def split(rule: Any) -> str:
    """How an archive is divided, in words."""
    if rule == "official":
        return "the archive's own"
    if hasattr(rule, "published"):
        return "as published (MERL's split files)"
    return f"drawn by {rule.unit}: {rule.valid_share:.0%} for validation, {rule.test_share:.0%} for tests"


def mining(knowledge: Any, changes: Mapping[str, Mapping[str, Any]]) -> str:
    """How the queries of a variant of ``knowledge`` were mined, in words."""
    own = {step: laid_over(base, changes[step]) for step, base in vars(knowledge).items()}
    engine, ask, extract = own["engine"], own["ask"], own["extract"]
    by = (
        "by rules, without a language model" if engine.name == "lexicon" else f"by {engine.model} through {engine.name}"
    )
    how = f"one question per {extract.unit}, prompting: {ask.prompting}, constraint: {ask.constraint}"
    out = [step for step in ("verify", "merge", "superclass") if not own[step].enabled]
    return f"Mined from the reports {by}; {how}" + (f"; left out: {', '.join(out)}." if out else ".")


def material(archive: str, variant: str) -> tuple[Learnt, Vocabulary]:
    """What the runs of a variant of the labels had to learn from."""
    store, (vocabulary, vectors) = open_store(archive), load_labels(labels(variant))
    studies, unused = read_table(REPORTS / "studies.parquet", STUDIES), read_table(REPORTS / "rejected.parquet", UNUSED)
    rejected = rejected_records(archive)
    return learnt(archive, store.origin, store.records, studies, vectors, rejected, unused), vocabulary


def scores(params: Any, name: str, runs: Mapping[str, Sequence[str]]) -> list[RunScores]:
    """The scores of an evaluation, of runs that the plan names there."""
    known = getattr(params.plan, name)
    wanted = {run: items for run, items in runs.items() if all(item in known for item in items)}
    return read_room(name, ROOMS[name], wanted, params.evaluation.confidence)


def facts(params: Any, run: Run, had: Learnt, vocabulary: Vocabulary, baselines: Sequence[RunScores]) -> Facts:
    """All that a run's card says.

    Args:
        params: of the stage.
        run: one that was trained.
        had: what it had to learn from.
        vocabulary: its queries.
        baselines: probes on features that nothing was learnt for.

    Raises:
        UserError: the run learnt from other records or asked other queries than there are now.
    """
    archive, made = params.pretraining_archive, params.plan.pretrain[run.name]
    place = params.archives[archive]
    if (had.records, vocabulary.hash) != (run.config["trained_on"]["records"], run.config["vocabulary_hash"]):
        raise UserError(
            f"{DATA / 'runs' / run.name}: of other records or queries than there are now; run pretrain again"
        )
    pretrain = laid_over(params.pretrain, made["pretrain"])
    seeds = [item for item, one in params.plan.pretrain.items() if one["run"] == made["run"]]
    own = {name: found[0] for name in ROOMS if (found := scores(params, name, {run.name: [run.name]}))}
    several = scores(params, "zeroshot", {made["run"]: seeds}) if len(seeds) > 1 else []
    return Facts(
        run=run, called=params.runs[made["run"]].title, seeds=seeds, learnt=had, split=split(place.split),
        batch=records_per_step(pretrain.loop.model_dump()),
        training={"optimizer": pretrain.optimizer, "loop": pretrain.loop},
        mining=mining(params.knowledge, params.plan.knowledge[made["knowledge"]]),
        entities=len(vocabulary.entities),
        licence=licence(Path(place.folder), DATA / "manifests" / f"{archive}.parquet"),
        scores=own, over_seeds=several[0] if several else None, baselines=baselines,
        lead_sets=params.zeroshot.leads, min_positives=params.evaluation.min_positives,
        confidence=params.evaluation.confidence,
    )  # fmt: skip


def main(params: Any) -> str:
    """Write ``results/cards/RUN.md`` for every run that was trained."""
    planned = params.plan.pretrain
    runs = [read_run(DATA / "runs" / item, item) for item in planned]
    trained = [run for run in runs if run.config["steps"]]
    probed = scores(params, "linear_probe", {item: [item] for item in params.plan.linear_probe})
    baselines = [one for one in probed if one.trained_on is None]
    variants = dict.fromkeys(planned[run.name]["knowledge"] for run in trained)
    had = {variant: material(params.pretraining_archive, variant) for variant in variants}
    with whole(OUT) as folder:
        folder.mkdir()
        for run in trained:
            found = facts(params, run, *had[planned[run.name]["knowledge"]], baselines)
            (folder / f"{run.name}.md").write_text(card(found), "utf-8")
    return f"{len(trained)} cards; of {len(runs)} runs, {len(runs) - len(trained)} had no step and have none"
