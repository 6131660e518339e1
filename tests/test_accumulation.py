"""A batch computed part by part, and over two processes, against one large batch."""

import os
from contextlib import nullcontext

import pytest
import small
import torch
import torch.multiprocessing as mp
from test_training import as_rank, batches, cut, train, values, without_dropout
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from kmerl.methods.method import weighted
from kmerl.training.accumulation import backward, encoder_gradients, split
from kmerl.training.loop import Learner
from kmerl.training.processes import distributed
from kmerl.waveforms import WaveformStore

SEED, RECORDS = 7, 16


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return small.store(tmp_path_factory.mktemp("store") / "toy")


def without_chance(kind, records=RECORDS, gather="with_gradient", **options):
    """A run that drops nothing and has no BatchNorm, so that parts are computed as they are in the whole."""
    if kind == "kmerl":
        made = without_dropout("masked", batch=records)
        return small.changed(made, options={"loss": {"gather": gather} | options})
    made = small.method(kind, 1e-12, batch=records)
    how = {"gather": gather} if kind == "simclr" else {"loss": {"gather": gather}}
    shared = {"model": {"encoder": {"dropout": 0.0}}}
    return small.changed(made, shared, how | {"projector": {"normalization": "none"}})


CASES = {
    "kmerl": without_chance("kmerl"),
    "balanced": without_chance("kmerl", query_reduction="balanced"),
    "merl": without_chance("merl_vit"),
    "simclr": without_chance("simclr"),
}


def of_two(run, parts=1):
    return small.changed(run, {"loop": {"batch": RECORDS // 2, "accumulate": parts}})


def gradients(store, run, parts, rank=0, size=1):
    """Losses of the first batch, and its gradient at every weight, as the optimiser finds it; and each term's norm."""
    learner = Learner(small.model(run), small.texts())
    wrapped = DistributedDataParallel(learner) if size > 1 else learner
    batch = cut(batches(store, run, rank, size))
    pulls = encoder_gradients(wrapped, batch, parts, SEED, nullcontext)
    losses = backward(wrapped, batch, parts, SEED, nullcontext)
    return {name: float(loss.detach()) for name, loss in losses.items()}, gradient_of(learner), pulls


def gradient_of(learner):
    return torch.cat([weight.grad.ravel() for weight in learner.parameters()])


def assert_same(found, expected):
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("case", CASES)
def test_the_gradient_of_parts_is_that_of_the_whole_batch(store, case):
    run = CASES[case]
    losses, whole, pulls = gradients(store, run, 1)
    for parts in (2, 4):
        of_parts, found, pulls_of_parts = gradients(store, run, parts)
        assert_same(found, whole)
        assert of_parts == pytest.approx(losses, rel=1e-5)
        assert pulls_of_parts == pytest.approx(pulls, rel=1e-4)


def _rank(rank, folder, path, port):
    as_rank(rank, port)
    torch.set_num_threads(1)
    store = WaveformStore(folder)

    def work():
        for name, run in CASES.items():
            for parts in (1, 2, 4):
                torch.save(gradients(store, of_two(run), parts, rank, 2), path / f"{name}-{parts}-{rank}.pt")
        for kind in ("merl_vit", "simclr"):
            run = without_chance(kind, RECORDS // 2, "without_gradient")
            torch.save(gradients(store, run, 1, rank, 2), path / f"{kind}-alone-{rank}.pt")

    distributed(work)


def test_two_processes_have_the_gradient_of_one_large_batch(store, tmp_path):
    mp.spawn(_rank, args=(store.folder, tmp_path, 31500 + os.getpid() % 2000), nprocs=2)

    def read(name):
        return [torch.load(tmp_path / f"{name}-{rank}.pt") for rank in range(2)]

    for name, run in CASES.items():
        losses, whole, pulls = gradients(store, run, 1)
        for parts in (1, 2, 4):
            ranks = read(f"{name}-{parts}")
            for _, found, pulls_found in ranks:
                assert_same(found, whole)
                assert pulls_found == pytest.approx(pulls, rel=1e-4)
            mean = {term: (ranks[0][0][term] + ranks[1][0][term]) / 2 for term in losses}
            assert mean == pytest.approx(losses, rel=1e-5)
    for kind in ("merl_vit", "simclr"):
        losses, whole, _ = gradients(store, without_chance(kind), 1)
        for losses_found, found, _ in read(f"{kind}-alone"):
            assert losses_found == pytest.approx(losses, rel=1e-5)  # each computes all of it
            assert_same(2 * found, whole)


@pytest.mark.parametrize("kind", small.KINDS)
def test_what_is_made_again_of_a_part_is_what_it_was(store, kind):
    """Dropout draws the same masks and BatchNorm sees the same part: against a graph that holds all parts at once."""
    run, parts = small.method(kind, batch=8), 2
    learner = Learner(small.model(run), small.texts())
    batch, method = cut(batches(store, run)), run.method
    encoded, own = [], []
    for i, piece in enumerate(split(batch, parts)):
        torch.manual_seed(SEED + i)
        encoded.append(method.encode(learner.model, piece, learner.texts))
        own += method.within(learner.model, encoded[-1].features, piece, learner.texts).items()
    vectors = {name: torch.cat([one.vectors[name] for one in encoded]) for name in encoded[0].vectors}
    reports = torch.cat([piece.reports for piece in split(batch, parts)])
    loss = weighted(method.across(vectors, reports)) + sum(weighted({name: term}) / parts for name, term in own)
    loss.backward()
    expected, buffers = gradient_of(learner), [buffer.clone() for buffer in learner.buffers()]
    again = Learner(small.model(run), small.texts())
    found = backward(again, batch, parts, SEED, nullcontext)
    assert_same(gradient_of(again), expected)
    assert float(found["loss"]) == pytest.approx(float(loss), rel=1e-5)
    assert all(torch.allclose(a, b) for a, b in zip(again.buffers(), buffers, strict=True))


def test_batchnorm_sees_parts(store):
    """The exception: another mean and deviation, hence another gradient, and as many steps as parts."""
    run = small.changed(without_chance("merl_vit"), options={"projector": {"normalization": "batch"}})
    learner = Learner(small.model(run), small.texts())
    backward(learner, cut(batches(store, run)), 4, SEED, nullcontext)
    steps = {int(module.num_batches_tracked) for module in learner.modules() if isinstance(module, nn.BatchNorm1d)}
    assert steps == {4}
    assert not torch.allclose(gradient_of(learner), gradients(store, run, 1)[1], rtol=1e-2)


@pytest.mark.parametrize("kind", ["kmerl", "simclr"])
def test_parts_hold_every_record_once_and_its_views_stay_together(store, kind):
    batch = cut(batches(store, small.method(kind, batch=16)))
    pieces = split(batch, 4)
    assert [len(piece.reports) for piece in pieces] == [4, 4, 4, 4]

    def of_records(view):
        return view.of_records(torch.cat([segments.sum((1, 2)) for segments, _, _ in view.groups]))

    for i, view in enumerate(batch.views):
        for k, piece in enumerate(pieces):
            assert torch.equal(of_records(piece.views[i]), of_records(view)[k::4])
    assert torch.equal(torch.cat([piece.labels for piece in pieces]), torch.cat([batch.labels[k::4] for k in range(4)]))


@pytest.mark.parametrize("kind", small.KINDS)
def test_the_gradient_of_a_term_at_the_encoder_is_measured_without_a_trace(store, kind):
    run = small.method(kind, batch=8)
    learner = Learner(small.model(run), small.texts())
    batch, before = cut(batches(store, run)), [x.clone() for x in learner.state_dict().values()]
    pulls = encoder_gradients(learner, batch, 1, SEED, nullcontext)
    assert all(torch.equal(a, b) for a, b in zip(learner.state_dict().values(), before, strict=True))
    assert all(weight.grad is None for weight in learner.parameters())
    weights = list(learner.model.encoder.parameters())
    torch.manual_seed(SEED)
    terms = run.method.losses(learner.model, batch, learner.texts)
    for name, term in terms.items():
        found = torch.autograd.grad(term.weight * term.value, weights, retain_graph=True)
        norm = float(torch.cat([gradient.ravel() for gradient in found]).norm())
        assert pulls[f"gradient_{name}"] == pytest.approx(norm, rel=1e-4)
    assert len(pulls) == len(terms)


def test_training_in_parts_goes_as_training_on_whole_batches(store, tmp_path):
    run = without_chance("kmerl", 8)
    in_parts = small.changed(run, {"loop": {"accumulate": 4}})
    whole, parts = train(store, tmp_path / "a", run)[1], train(store, tmp_path / "b", in_parts)[1]
    for name in ("loss", "contrastive", "query", "gradient_query"):
        assert values(parts, name) == pytest.approx(values(whole, name), rel=1e-3)


@pytest.mark.parametrize(("batch", "parts"), [(8, 3), (8, 8)])
def test_a_batch_that_cannot_be_cut_so_is_refused(batch, parts):
    with pytest.raises(ValueError, match="equal parts"):
        small.params(batch=batch, accumulate=parts)
