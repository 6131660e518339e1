import os
from functools import partial

import numpy as np
import polars as pl
import pytest
import small
import torch
import torch.multiprocessing as mp
from pydantic import ValidationError
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from kmerl import methods
from kmerl.artifacts import read_json, read_table, write_json
from kmerl.checkpoint import RunConfig, TrainedOn, check_store, described, load_run, save_run
from kmerl.errors import UserError
from kmerl.history import HISTORY, curve, last
from kmerl.inference import encode_records
from kmerl.leads import LEADS
from kmerl.randomness import generator
from kmerl.text.params import TextParams
from kmerl.training.batch_norm import synchronised
from kmerl.training.batches import Batches
from kmerl.training.held import Held, validated
from kmerl.training.loop import Learner, fit, learning_rate
from kmerl.training.processes import distributed
from kmerl.training.run import summary
from kmerl.training.text_vectors import Names
from kmerl.waveforms import WaveformStore

DUPLICATES = ("negative", "masked", "positive")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return small.store(tmp_path_factory.mktemp("store") / "toy")


def names():
    """Each query's own vector, and for the first two of them another name."""
    texts = {"a": ["a", "ay"], "b": ["b", "bee"], "c": ["c"]}
    own = small.texts().queries
    others = generator(0, "other names").normal(size=(2, small.TEXT_WIDTH)).astype(np.float32)
    return Names.of("abc", texts, lambda _: np.stack([own[0], others[0], own[1], others[1], own[2]]))


def train(store, scratch, run=None, **fit_options):
    run = run or small.params()
    model, texts = small.model(run), small.texts()
    texts.names = names() if run.method.drawn_names else None
    history, steps = fit(
        model,
        texts,
        store,
        small.examples(range(16)),
        small.examples(range(16, 24)),
        run.params,
        1,
        scratch,
        **fit_options,
    )
    return model, history, steps


def values(history, name):
    return curve(history, name)["value"].to_numpy()


def batches(store, run, rank=0, size=1, seed=1):
    return Batches(
        store, small.examples(range(16)), run.method, run.model.tokens, run.normalize, run.loop.batch, seed, rank, size
    )


def cut(batches, step=0):
    """A batch with its tokens."""
    return batches[step].to(torch.device("cpu"))


def weights(model):
    return torch.cat([weight.detach().ravel() for weight in model.state_dict().values()])


def test_a_batch_shows_one_to_three_leads_of_each_record(store):
    batch = cut(batches(store, small.params()))
    shown = [len(set(record.tolist())) for _, leads, _ in batch.views[0].groups for record in leads]
    assert len(shown) == 4 and set(shown) <= {1, 2, 3}
    assert {segments.shape[1] % 8 for segments, _, _ in batch.views[0].groups} == {0}  # 8 of 10 tokens of each lead


def test_labels_and_reports_stay_with_their_record(store):
    made = batches(store, small.params())
    batch, examples = cut(made, 1), small.examples(range(16))
    loud = torch.cat([segments.std((1, 2)) > 0.25 for segments, _, _ in batch.views[0].groups])
    assert torch.equal(loud, batch.labels[:, 0].bool())
    pairs = {(int(r), tuple(row)) for r, row in zip(batch.reports, batch.labels.tolist(), strict=True)}
    assert pairs == {(int(examples.reports[m]), tuple(examples.labels[m].tolist())) for m in made.members(1)}


def test_a_batch_knows_the_shares_of_all_training_records_in_every_process(store):
    labels = small.examples(range(16)).labels
    for made in (batches(store, small.params(batch=2), rank, 2) for rank in range(2)):
        assert np.allclose(made[3].shares.numpy(), labels.sum(0) / 16)


def test_an_epoch_shows_every_record_once_and_the_next_in_another_order(store):
    made = batches(store, small.params())
    first, second = (np.concatenate([made.members(s) for s in steps]) for steps in (range(4), range(4, 8)))
    assert sorted(first) == sorted(second) == list(range(16))
    assert first.tolist() != second.tolist()


def test_processes_share_an_epoch_without_overlap(store):
    run = small.params(batch=2)
    parts = [batches(store, run, rank, 2).members(0) for rank in range(2)]
    assert np.concatenate(parts).tolist() == batches(store, small.params()).members(0).tolist()


def test_any_step_can_be_made_again_without_those_before_it(store):
    run = small.params()
    walked = batches(store, run)
    for step in range(6):
        expected = cut(walked, step)
    again = cut(batches(store, run), 5)
    assert all(
        torch.equal(a, b)
        for g, h in zip(expected.views[0].groups, again.views[0].groups, strict=True)
        for a, b in zip(g, h, strict=True)
    )


def shown_of_each(made, steps):
    """Member -> what the views of some steps show of it: segments, leads and times of each."""
    found = {}
    for step in steps:
        batch, members = made[step], made.members(step)
        for reading in batch.readings:
            rows = [record for group in reading.cut(torch.device("cpu")) for record in zip(*group, strict=True)]
            for member, row in zip(members[reading.order], rows, strict=True):
                found.setdefault(int(member), []).append(row)
    return found


@pytest.mark.parametrize("kind", small.KINDS)
def test_what_a_record_shows_in_an_epoch_depends_neither_on_its_batch_nor_on_the_processes(store, kind):
    alone = shown_of_each(batches(store, small.method(kind, batch=8)), range(2))
    ranks = [batches(store, small.method(kind, batch=2), rank, 2) for rank in range(2)]
    shared = shown_of_each(ranks[0], range(4)) | shown_of_each(ranks[1], range(4))
    assert alone.keys() == shared.keys() == {*range(16)}
    for member, views in alone.items():
        for one, other in zip(views, shared[member], strict=True):
            assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("kind", ["kmerl", "simclr"])
def test_a_record_shows_something_else_in_every_epoch(store, kind):
    made = batches(store, small.method(kind, batch=8))
    one, other = (shown_of_each(made, steps) for steps in (range(2), range(2, 4)))
    alike = [all(torch.equal(a, b) for a, b in zip(one[m][0], other[m][0], strict=True)) for m in one]
    assert not any(alike)


def test_where_a_step_draws_the_number_of_leads_all_processes_show_as_many(store):
    run = small.changed(small.params(batch=2), options={"masking": {"draw": "per_batch"}})
    made = [batches(store, run, rank, 2) for rank in range(2)]
    counts = [{n for one in made for _, n in one[step].readings[0].sizes} for step in range(12)]
    assert all(len(one) == 1 for one in counts) and set.union(*counts) == {8, 16, 24}


def test_a_batch_for_a_gpu_lies_in_pinned_memory_and_is_the_same(store, monkeypatch):
    run = small.changed(
        small.method("simclr"), {"model": {"tokens": {"per": "segment"}, "encoder": {"lead_embedding": False}}}
    )
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.append(tensor) or tensor.clone())
    plain = batches(store, run)[0]
    batch = plain.pin_memory()
    assert len(pinned) == 2 * 8 + 4 and batch.readings[0].samples.dtype == torch.int16
    for one, other in zip(plain.to(torch.device("cpu")).views, batch.to(torch.device("cpu")).views, strict=True):
        for group, same in zip(one.groups, other.groups, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(group, same, strict=True))


def test_training_learns(store, tmp_path):
    run = small.params(steps=150, validate_every=150)
    _, history, steps = train(store, tmp_path, run)
    query = values(history, "query")
    assert steps == 150 and query[-20:].mean() < 0.6 * query[:5].mean()
    assert len(values(history, "valid_auc")) == len(values(history, "valid_query")) == 1


@pytest.mark.parametrize("kind", ["merl_vit", "merl_resnet18"])
def test_merl_learns_and_is_validated_by_comparing_with_names(store, tmp_path, kind):
    _, history, _ = train(store, tmp_path, small.method(kind, steps=100, validate_every=100))
    loss = values(history, "loss")
    assert loss[-20:].mean() < 0.8 * loss[:5].mean()
    assert np.allclose(loss, values(history, "contrastive") + values(history, "unimodal"))
    assert not {"query", "valid_query"} & {*history["name"]} and 0 <= last(history, "valid_auc") <= 1


def test_simclr_learns_to_match_two_views_and_is_validated_by_that(store, tmp_path):
    _, history, _ = train(store, tmp_path, small.method("simclr", steps=100, validate_every=100))
    loss = values(history, "loss")
    assert loss[-20:].mean() < 0.9 * loss[:5].mean() and np.array_equal(loss, values(history, "views"))
    assert last(history, "valid_views") < np.log(7)  # of seven other views one is right
    assert 0 <= last(history, "valid_match") <= 1


def test_two_views_of_a_batch_are_of_the_same_records_whatever_they_show(store):
    masking = {"masked_leads": [1, 4, 7, 10]}
    run = small.changed(small.method("simclr", batch=16), None, {"gain": [1.0, 1.0], "noise": 0.0, "masking": masking})
    batch = cut(batches(store, run))
    one, other = (
        view.of_records(torch.cat([segments.std((1, 2)) > 0.25 for segments, _, _ in view.groups]))
        for view in batch.views
    )
    assert torch.equal(one, batch.labels[:, 0].bool()) and torch.equal(one, other)
    assert len(batch.views[1].groups) > 1  # so that their order differs from that of the first view


@pytest.mark.parametrize("kind", small.KINDS)
def test_validation_says_the_same_of_a_model_each_time(store, kind):
    run = small.method(kind)
    held = Held(store, small.examples(range(16, 24)), small.texts(), run.normalize, 4, 1)
    model = small.model(run)
    assert validated(model, held) == validated(model, held) and model.training


@pytest.mark.parametrize(("reduction", "factor"), [("mean", 1), ("sum", small.QUERIES), ("balanced", None)])
def test_the_query_loss_on_validation_records_is_that_of_training(store, reduction, factor):
    run = small.changed(small.params(), options={"loss": {"query_reduction": reduction}})
    held = Held(store, small.examples(range(16, 24)), small.texts(), run.normalize, 4, 1)
    plain, found = (validated(small.model(one), held) for one in (small.params(), run))
    assert found.get("valid_query") == (factor and pytest.approx(factor * plain["valid_query"]))
    assert found["valid_auc"] == plain["valid_auc"]


@pytest.mark.parametrize("kind", small.KINDS)
def test_what_is_logged_has_a_title(store, tmp_path, kind):
    _, history, _ = train(store, tmp_path, small.method(kind, steps=4))
    known = small.method(kind).method.curves
    logged = {name.removeprefix("valid_").removeprefix("gradient_") for name in history["name"]}
    assert logged == {"loss", "learning_rate", *known}


@pytest.mark.parametrize("kind", small.KINDS)
def test_a_run_of_no_steps_is_saved_as_initialised(store, tmp_path, kind):
    run = small.method(kind, steps=0)
    model, history, steps = train(store, tmp_path / "scratch", run)
    assert steps == 0 and torch.equal(weights(model), weights(small.model(run)))
    made = config(model, run).model_copy(update={"steps": 0})
    save_run(tmp_path / "run", model, made, history)
    assert read_table(tmp_path / "run/history.parquet", HISTORY).is_empty()
    assert torch.equal(weights(load_run(tmp_path / "run")[0]), weights(model))
    assert summary(model, made, history).startswith("saved as initialised, without a step; 3 queries")


def test_the_same_seed_gives_the_same_weights_and_history(store, tmp_path):
    one, two = train(store, tmp_path / "a"), train(store, tmp_path / "b")
    assert torch.equal(weights(one[0]), weights(two[0])) and one[1].equals(two[1])


DRAWN = small.changed(small.params(), options={"queries": "drawn"})
RUNS = [*map(small.method, small.KINDS), DRAWN]


@pytest.mark.parametrize("run", RUNS, ids=[*small.KINDS, "drawn"])
def test_a_resumed_run_equals_an_uninterrupted_one(store, tmp_path, run):
    whole, history, _ = train(store, tmp_path / "whole", run)
    train(store, tmp_path / "killed", run, stop_after=5)
    resumed, history_resumed, _ = train(store, tmp_path / "killed", run)
    assert (tmp_path / "killed/checkpoint.pt").exists()
    assert torch.equal(weights(whole), weights(resumed)) and history.equals(history_resumed)


@pytest.mark.parametrize("cut", [20, 2000, 10**9])
def test_a_damaged_checkpoint_is_refused_in_one_line(store, tmp_path, cut):
    train(store, tmp_path, stop_after=5)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(UserError, match=r"checkpoint.pt: not readable .*; delete it") as error:
        train(store, tmp_path)
    assert "\n" not in str(error.value)


def test_reading_in_worker_processes_changes_nothing(store, tmp_path):
    alone = train(store, tmp_path / "alone")[0]
    helped = train(store, tmp_path / "helped", small.params(workers=2))[0]
    assert torch.equal(weights(alone), weights(helped))


def test_every_step_asks_each_query_by_one_of_its_names_alike_in_all_processes(store):
    run = small.params(batch=2)
    made = [
        Batches(
            store, small.examples(range(16)), run.method, run.model.tokens, run.normalize, 2, 1, rank, 2, names()
        )
        for rank in range(2)
    ]  # fmt: skip
    drawn = [[int(row) for row in made[0][step].names] for step in range(20)]
    assert drawn == [[int(row) for row in made[1][step].names] for step in range(20)]
    assert {tuple(row) for row in drawn} == {(a, b, 4) for a in (0, 1) for b in (2, 3)}
    assert batches(store, small.params())[0].names is None


def test_a_query_is_read_by_the_name_drawn_and_validated_by_its_own():
    texts, cpu, drawn = small.texts(), torch.device("cpu"), torch.tensor([1, 2, 4])
    texts.names = names()
    read = texts.of_queries(drawn, cpu).numpy()
    assert np.array_equal(read, texts.names.vectors[[1, 2, 4]])
    assert np.array_equal(read[1:], texts.queries[1:]) and not np.array_equal(read[0], texts.queries[0])
    assert np.array_equal(texts.canonical(), texts.queries)
    asked = []
    texts.query_texts, texts.live = "abc", lambda these: asked.append(list(these))
    texts.of_queries(drawn, cpu)
    texts.of_queries(None, cpu)
    assert asked == [["ay", "b", "c"], ["a", "b", "c"]]


def test_drawn_names_change_what_is_learnt(store, tmp_path):
    one, two = train(store, tmp_path / "a")[0], train(store, tmp_path / "b", DRAWN)[0]
    assert not torch.equal(weights(one), weights(two))


def gradient(store, run, rank=0, size=1):
    """Gradient of every weight after the first batch, averaged over processes as distributed training does.

    Behind it come the statistics that BatchNorm has learnt.
    """
    learner = Learner(small.model(run), small.texts())
    wrapped = DistributedDataParallel(synchronised(learner)) if size > 1 else learner
    wrapped(cut(batches(store, run, rank, size)))["loss"].backward()
    found = [*(weight.grad for weight in learner.parameters()), *learner.buffers()]
    return torch.cat([one.ravel().float() for one in found])


def without_dropout(duplicates, **loop):
    options = {"query": {"dropout": 0.0}, "loss": {"duplicates": duplicates}}
    return small.changed(small.params(**loop), {"model": {"encoder": {"dropout": 0.0}}}, options)


def without_chance(kind, normalization, **loop):
    """MERL with views that drop nothing, or SimCLR without dropout and with views far apart.

    An untrained model makes these nearly parallel, and then float32 cancels.
    """
    run = small.method(kind, 1e-12, **loop)
    shared = {"model": {"encoder": {"dropout": 0.0}}}
    apart = {"gain": [0.1, 10.0]} if kind == "simclr" else {}
    return small.changed(run, shared, {"projector": {"normalization": normalization}} | apart)


KINDS_ALIKE = ("merl_vit", "merl_resnet18", "simclr")


def convolved(rank=0, size=1):
    """Gradient and statistics of BatchNorm behind convolutions and behind a linear map, in double precision."""
    torch.manual_seed(0)
    parts = [nn.Conv1d(3, 5, 3), nn.BatchNorm1d(5), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 14, 6)]
    layers = nn.Sequential(*parts, nn.BatchNorm1d(6, affine=False)).double()
    shown, weight = (torch.randn(8, *shape).double().chunk(size)[rank] for shape in ((3, 16), (6,)))
    wrapped = DistributedDataParallel(synchronised(layers)) if size > 1 else layers
    for _ in range(2):
        layers.zero_grad()
        (wrapped(shown) * weight).tanh().sum(1).mean().backward()
    found = [*(one.grad for one in layers.parameters()), *layers.buffers()]
    return torch.cat([one.double().ravel() for one in found])


ALIKE = {f"{kind} {norm}": partial(without_chance, kind, norm) for kind in KINDS_ALIKE for norm in ("none", "batch")}


def as_rank(rank, port):
    """This process becomes one of two."""
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "test",
    }  # fmt: skip


def _rank(rank, folder, path, port):
    as_rank(rank, port)
    torch.set_num_threads(1)
    store = WaveformStore(folder)

    def work():
        for duplicates in DUPLICATES:
            run = without_dropout(duplicates, batch=2)
            found = gradient(store, run, rank, 2)
            history = train(store, path / f"{duplicates}{rank}", run)[1]
            if rank == 0:
                torch.save(found, path / f"{duplicates}.pt")
                history.write_parquet(path / f"{duplicates}.parquet")
        torch.save(convolved(rank, 2), path / f"convolved{rank}.pt")
        for name, made in ALIKE.items():
            found = gradient(store, made(batch=2), rank, 2)
            # one process validates, the other waits
            train(store, path / f"{name}{rank}", made(batch=2, steps=2, validate_every=1))
            if rank == 0:
                torch.save(found, path / f"{name}.pt")

    distributed(work)


def test_two_processes_learn_what_one_learns(store, tmp_path):
    mp.spawn(_rank, args=(store.folder, tmp_path, 29500 + os.getpid() % 2000), nprocs=2)
    for duplicates in DUPLICATES:
        run = without_dropout(duplicates)
        assert torch.allclose(torch.load(tmp_path / f"{duplicates}.pt"), gradient(store, run), atol=1e-6)
        alone, together = (
            train(store, tmp_path / duplicates, run)[1],
            pl.read_parquet(tmp_path / f"{duplicates}.parquet"),
        )
        assert np.allclose(values(alone, "loss"), values(together, "loss"), atol=1e-3)
    for rank in range(2):
        assert torch.allclose(torch.load(tmp_path / f"convolved{rank}.pt"), convolved(), rtol=0, atol=1e-12)
    for name, made in ALIKE.items():
        together, alone = torch.load(tmp_path / f"{name}.pt"), gradient(store, made())
        # BatchNorm over few records, twenty times in a ResNet18, enlarges what rounding changes
        atol = (1e-4 if "batch" in name else 1e-6) * float(alone.abs().max())
        assert torch.allclose(together, alone, atol=atol), (name, float((together - alone).abs().max()), atol)


@pytest.mark.parametrize("duplicates", DUPLICATES)
def test_every_form_of_the_loss_reaches_every_weight(store, duplicates):
    run = small.changed(small.params(), options={"loss": {"duplicates": duplicates}})
    learner = Learner(small.model(run), small.texts())
    learner(cut(batches(store, run)))["loss"].backward()
    assert [name for name, weight in learner.named_parameters() if weight.grad is None] == []


def test_the_learning_rate_warms_up_and_falls_to_zero():
    optimizer = small.params().optimizer
    rates = [learning_rate(step, 100, optimizer) for step in range(101)]
    assert rates[0] == pytest.approx(0.0015) and max(rates) == rates[2] == pytest.approx(0.003)
    assert rates[100] == pytest.approx(0) and all(a >= b for a, b in zip(rates[2:], rates[3:], strict=False))


def test_warm_restarts_are_cosines_of_so_many_steps_as_torchs():
    changes = {"schedule": "warm_restarts", "restart_steps": 5, "warmup_steps": 0}
    optimizer = small.changed(small.params(), {"optimizer": changes}).optimizer
    reference = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=optimizer.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(reference, T_0=5)
    for step in range(12):
        assert learning_rate(step, 12, optimizer) == pytest.approx(reference.param_groups[0]["lr"], rel=1e-6)
        reference.step()
        schedule.step()


def config(model, run):
    text = TextParams(encoder="folder", pooling="mean", max_tokens=8, batch=1, threads=1)
    return RunConfig(
        **described(run.method), model=run.model, normalize=run.normalize, text=text, text_width=6, fs=100,
        samples=small.SAMPLES, vocabulary=["a", "b", "c"], vocabulary_hash="x", seed=1, steps=8,
        trained_on=TrainedOn(archive="toy", origin="simulated", records=16, reports=7),
    )  # fmt: skip


@pytest.mark.parametrize("kind", small.ASKED)
def test_a_saved_run_answers_as_before(store, tmp_path, kind):
    run = small.method(kind)
    model, history, _ = train(store, tmp_path / "scratch", run)
    save_run(tmp_path / "run", model, config(model, run), history)
    loaded, read, _ = load_run(tmp_path / "run")
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [
        "config.json",
        "history.parquet",
        "model.safetensors",
    ]
    assert read.method == kind.split("_")[0] and loaded.method.temperature == 0.07
    assert read.vocabulary == ["a", "b", "c"] and read.trained_on.origin == "simulated"
    queries = [small.texts().queries, small.texts().queries[:1]]
    before, after = (
        small.answers(m.eval(), store, [3, 5, 20], ["II", "V1"], run.normalize, queries) for m in (model, loaded)
    )
    assert [a.shape for a in after] == [(3, 3), (3, 1)]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_run_of_another_version_is_refused_in_one_line(store, tmp_path):
    run = small.params()
    model = small.model(run)
    save_run(tmp_path / "run", model, config(model, run), train(store, tmp_path / "scratch")[1])
    path = tmp_path / "run/config.json"
    write_json(path, {name: value for name, value in read_json(path).items() if name != "options"})
    with pytest.raises(UserError, match=r"options: .*; this is not a run of this version$") as error:
        load_run(tmp_path / "run")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("damage", ["config.json", "model.safetensors"])
def test_a_damaged_run_is_refused_in_one_line(store, tmp_path, damage):
    model, run = small.model(small.params()), small.params()
    save_run(tmp_path / "run", model, config(model, run), pl.DataFrame(schema=HISTORY.names))
    path = tmp_path / "run" / damage
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=damage) as error:
        load_run(tmp_path / "run")
    assert "\n" not in str(error.value)


def test_records_without_any_asked_lead_get_no_answer(tmp_path):
    store = small.store(tmp_path / "limb", n=4, leads=["I", "II"])
    run = small.params()
    model = small.model(run).eval()
    (chest,) = small.answers(model, store, [0, 1], ["V1"], run.normalize, [small.texts().queries])
    (limb,) = small.answers(model, store, [0, 1], LEADS, run.normalize, [small.texts().queries])
    assert np.isnan(chest).all() and not np.isnan(limb).any()


@pytest.mark.parametrize("kind", small.ASKED)
@pytest.mark.parametrize("rule", ["millivolt", "minmax", "zscore"])
def test_leads_that_are_not_shown_do_not_reach_the_answer(tmp_path, rule, kind):
    """Two records alike in lead II only, seen through lead II."""
    quiet, loud = small.store(tmp_path / "quiet", n=2), small.store(tmp_path / "loud", n=2, louder_but=["II"])
    run = small.changed(small.method(kind), {"normalize": {"rule": rule, "scope": "visible_leads"}})
    model = small.model(run).eval()
    one, other = (
        small.answers(model, store, [0, 1], ["II"], run.normalize, [small.texts().queries])[0]
        for store in (quiet, loud)
    )
    assert np.array_equal(one, other)
    whole = [
        small.answers(model, store, [0], LEADS, run.normalize, [small.texts().queries])[0] for store in (quiet, loud)
    ]
    assert not np.array_equal(*whole)


@pytest.mark.parametrize("padding", ["tokens", "dropped"])
def test_padding_is_treated_alike_in_training_and_in_use(tmp_path, padding):
    store = small.store(tmp_path / "short", n=8, length=130)
    run = small.changed(small.params(), {"model": {"tokens": {"padding": padding}}})
    most = 10 if padding == "tokens" else 6  # of 20 samples each
    trained = cut(Batches(store, small.examples(range(8)), run.method, run.model.tokens, run.normalize, 4, 1))
    assert max(int(times.max()) for _, _, times in trained.views[0].groups) < most
    assert {segments.shape[1] % (most - most // 4) for segments, _, _ in trained.views[0].groups} == {0}
    (used,) = encode_records(small.model(run), store, [0], ["I"], run.normalize, 1)
    assert used.tokens.shape[1] == most


def test_a_run_that_diverges_says_so(store, tmp_path):
    run = small.changed(small.params(), {"optimizer": {"learning_rate": 1e30, "warmup_steps": 0, "clip_norm": None}})
    with pytest.raises(UserError, match=r"the loss is .* at step \d; lower pretrain.optimizer.learning_rate"):
        train(store, tmp_path, run)


def test_a_model_with_damaged_weights_is_not_believed(store):
    run = small.params()
    model = small.model(run).eval()
    with torch.no_grad():
        model.query.classify.bias.fill_(float("nan"))
    with pytest.raises(UserError, match="answers with NaN"):
        small.answers(model, store, [0], LEADS, run.normalize, [small.texts().queries])


def test_a_run_is_not_shown_waveforms_of_another_kind(store):
    run = small.params()
    fits = config(small.model(run), run)
    check_store(fits, store)
    with pytest.raises(UserError, match="100 Hz, but the run learnt from 200 at 500 Hz"):
        check_store(fits.model_copy(update={"fs": 500.0}), store)


def test_a_runs_changes_are_checked_as_the_parameters_they_change():
    run = small.changed(small.params(), {"model": {"encoder": {"shape": "tiny"}}}, {"loss": {"temperature": 0.1}})
    assert run.model.encoder.resolve().depth == 12 and run.method.temperature == 0.1
    assert run.options.loss.contrastive == "symmetric"
    for wrong in ({"loss": {"temprature": 0.1}}, {"loss": {"temperature": -1}}, {"unknown": 3}):
        with pytest.raises(ValidationError):
            small.changed(small.params(), options=wrong)


RESNET = {
    "tokens": {"per": "segment"}, "encoder": {"kind": "resnet18", "lead_embedding": False, "time_embedding": False}
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "shared", "options", "message"),
    [
        ("kmerl", {"model": RESNET}, {}, "set masking.segment_share to 0"),
        ("simclr", {"model": RESNET}, {}, "set masking.segment_share to 0"),
        ("kmerl", {}, {"query": None}, "give query, or"),
        ("kmerl", {}, {"loss": {"query_weight": 0.0}}, "set query to null"),
        ("kmerl", {}, {"query": None, "loss": {"query_weight": 0.0, "contrastive_weight": 0.0}}, "nothing would be"),
        ("merl_vit", {}, {"projector": {"dropout": 0.0}}, "set projector.dropout above 0"),
        ("merl_vit", {}, {"loss": {"unimodal_weight": 0.0}}, "or neither"),
        ("simclr", {}, {"gain": [1.2, 0.8]}, "the smaller first"),
        ("kmerl", {"loop": {"steps": -1}}, {}, "greater than or equal to 0"),
        ("kmerl", {"loop": {"epochs": 3}}, {}, "give either epochs or steps"),
        ("kmerl", {"optimizer": {"schedule": "warm_restarts"}}, {}, "restart_steps belongs to schedule warm_restarts"),
        ("kmerl", {"optimizer": {"restart_steps": 5}}, {}, "restart_steps belongs to schedule warm_restarts"),
        ("merl_resnet18", {"model": {"encoder": {"pooling": "attention"}}}, {"projector": {"width": 6}}, "a multiple"),
    ],
)
def test_impossible_combinations_are_refused_with_what_to_do(kind, shared, options, message):
    with pytest.raises(ValueError, match=message):
        small.changed(small.method(kind), shared, options)


def test_a_name_is_a_method_only_if_it_is_a_file_of_theirs():
    assert {"kmerl", "merl", "simclr"} <= {*methods.NAMES}
    for name in ("method", "os", "../kmerl", "kmerl.merl", "", "__init__"):
        with pytest.raises(ValueError, match="is no method; the methods are kmerl, merl"):
            methods.load(name)


@pytest.mark.parametrize("kind", small.KINDS)
def test_a_model_knows_the_ways_that_its_training_taught_it(kind):
    known = {
        "kmerl": ("query", "contrastive", "average", "mixture"), "merl_vit": ("contrastive",),
        "merl_resnet18": ("contrastive",), "simclr": (),
    }  # fmt: skip
    assert small.method(kind).method.ways == known[kind]
    reason = small.method(kind).method.unaskable()
    assert (reason is None) == bool(known[kind])


def test_a_head_that_no_loss_reached_is_not_asked():
    untrained = small.changed(small.params(), options={"loss": {"contrastive_weight": 0.0}})
    assert untrained.method.ways == ("query", "mixture")
    alone = small.changed(small.method("merl_vit"), options={"loss": {"contrastive_weight": 0.0}})
    assert alone.method.ways == ()


def test_only_millivolts_do_not_depend_on_the_scope():
    rules = {rule: small.params().normalize.model_copy(update={"rule": rule}) for rule in ("millivolt", "minmax")}
    assert not rules["millivolt"].depends_on_scope and rules["minmax"].depends_on_scope
