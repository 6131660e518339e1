import numpy as np
import pytest
import small
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from kmerl.errors import UserError
from kmerl.evaluation.params import MixtureParams
from kmerl.evaluation.ways import (
    WAYS,
    Questions,
    Training,
    ask_store,
    default_way,
    mixture_weights,
    usable_ways,
)
from kmerl.leads import LEADS

TEMPERATURE = 0.07
MIXTURE = MixtureParams(nearest=2, temperature=0.05)


def vectors(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, small.TEXT_WIDTH)).astype(np.float32)


TRAINING = Training(["a", "b", "c", "d"], vectors(4, seed=1))


@pytest.fixture
def model():
    return small.model(small.params()).eval()


@pytest.fixture
def merl():
    return small.model(small.method("merl_vit")).eval()


@pytest.fixture
def tokens(model):
    return torch.from_numpy(np.random.default_rng(2).normal(size=(5, 10, 8)).astype(np.float32))


def asked(model, tokens, queries, way, mixture=MIXTURE):
    return Questions(model, [queries], [way], TRAINING, mixture)(tokens)[way]


def test_each_way_is_what_it_says(model, tokens):
    names = torch.from_numpy(vectors(3))
    network = model.query(tokens, names)
    head = F.cosine_similarity(model.embed_ecg(tokens)[:, None], model.embed_text(names)[None], dim=-1) / TEMPERATURE
    assert torch.allclose(asked(model, tokens, names, "query"), network.sigmoid(), atol=1e-6)
    assert torch.allclose(asked(model, tokens, names, "contrastive"), head.sigmoid(), atol=1e-6)
    assert torch.allclose(asked(model, tokens, names, "average"), ((network + head) / 2).sigmoid(), atol=1e-6)


def test_a_mixture_is_the_weighted_mean_of_the_nearest_training_queries_asked_together(model, tokens):
    name, trained = vectors(1)[0], TRAINING.vectors
    cosine = trained @ name / np.linalg.norm(trained, axis=1) / np.linalg.norm(name)
    first, second = np.argsort(-cosine)[:2]
    weight = 1 / (1 + np.exp((cosine[second] - cosine[first]) / MIXTURE.temperature))
    logits = model.query(tokens, torch.from_numpy(trained))
    expected = (weight * logits[:, first] + (1 - weight) * logits[:, second]).sigmoid()
    assert torch.allclose(asked(model, tokens, name[None], "mixture")[:, 0], expected, atol=1e-6)


def test_a_mixture_of_one_is_the_answer_to_that_training_query(model, tokens):
    near = TRAINING.vectors[[2, 0]] + np.float32(0.001)
    found = asked(model, tokens, near, "mixture", MixtureParams(nearest=1, temperature=0.05))
    together = model.query(tokens, torch.from_numpy(TRAINING.vectors)).sigmoid()
    assert torch.allclose(found, together[:, [2, 0]], atol=1e-6)


@settings(deadline=None)
@given(st.integers(1, 9), st.floats(0.01, 10), st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32))
def test_weights_of_a_mixture_add_up_to_one_and_favour_the_nearest(nearest, temperature, n, trained, seed):
    queries, training = torch.from_numpy(vectors(n, seed)), torch.from_numpy(vectors(trained, seed + 1))
    weights = mixture_weights(queries, training, MixtureParams(nearest=nearest, temperature=temperature))
    assert torch.allclose(weights.sum(1), torch.ones(n), atol=1e-5)
    assert ((weights > 0).sum(1) <= min(nearest, trained)).all()
    cosine = F.normalize(queries, dim=1) @ F.normalize(training, dim=1).T
    assert (weights.argmax(1) == cosine.argmax(1)).all()


@pytest.mark.parametrize("way", WAYS)
def test_lists_asked_at_once_do_not_see_one_another(model, tokens, way):
    lists = [vectors(3), vectors(2, seed=5), vectors(4, seed=6)]
    together = Questions(model, lists, WAYS, TRAINING, MIXTURE)(tokens)[way]
    alone = torch.cat([asked(model, tokens, one, way) for one in lists], dim=1)
    assert torch.allclose(together, alone, atol=1e-5)


def test_in_the_papers_way_a_class_depends_on_which_others_are_asked(model, tokens):
    # so that lists must be kept apart; the other ways do not depend on it
    alone = {way: asked(model, tokens, vectors(3)[:1], way)[:, 0] for way in WAYS}
    among = {way: asked(model, tokens, vectors(3), way)[:, 0] for way in WAYS}
    same = {way for way in WAYS if torch.allclose(alone[way], among[way], atol=1e-6)}
    assert same == {"contrastive", "mixture"}


def test_a_model_without_a_query_network_knows_only_the_contrastive_way(model, merl):
    assert usable_ways(merl, WAYS) == ["contrastive"]
    assert usable_ways(merl, ["query", "mixture"]) == []
    assert usable_ways(model, ["mixture", "query"]) == ["mixture", "query"]
    assert (default_way(model), default_way(merl)) == ("query", "contrastive")
    with pytest.raises(UserError, match=r"way 'query': the model knows the ways contrastive$"):
        Questions(merl, [vectors(2)], ["query"])


def test_a_model_that_learnt_nothing_about_texts_says_so_instead_of_answering():
    model = small.model(small.method("simclr"))
    for refused in (lambda: default_way(model), lambda: Questions(model, [vectors(2)], ["contrastive"])):
        with pytest.raises(UserError, match="SimCLR learns nothing about texts, so it cannot be asked for classes"):
            refused()


@pytest.mark.parametrize("kind", small.ASKED)
def test_stored_records_are_answered_in_their_order_for_every_list_and_way(tmp_path, kind):
    run = small.method(kind)
    model, store = small.model(run).eval(), small.store(tmp_path / "store")
    lists = [vectors(3), vectors(2, seed=5)]
    ways = usable_ways(model, WAYS)
    questions = Questions(model, lists, ways, TRAINING, MIXTURE)
    rows = [7, 2, 11, 4]
    found = ask_store(questions, store, rows, ["II", "V1"], run.normalize, batch=3)
    single = [ask_store(questions, store, [row], ["V1", "lead ii"], run.normalize, batch=1) for row in rows]
    assert list(found) == ways
    for way in ways:
        assert [answer.shape for answer in found[way]] == [(4, 3), (4, 2)]
        for k in (0, 1):
            alone = np.concatenate([one[way][k] for one in single])
            assert np.allclose(found[way][k], alone, rtol=1e-4)
            apart = np.abs(found[way][k][:, None] / alone[None] - 1).max(2)
            assert (apart.argmin(1) == np.arange(4)).all()


@pytest.mark.parametrize("rule", ["minmax", "zscore"])
def test_hidden_leads_do_not_change_an_answer_when_normalisation_sees_the_shown_ones_only(tmp_path, model, rule):
    quiet = small.store(tmp_path / "quiet")
    loud = small.store(tmp_path / "loud", louder_but=("I", "II"))
    questions = Questions(model, [vectors(3)], ["query", "contrastive"])
    answers = {}
    for scope in ("visible_leads", "record"):
        normalize = small.params().normalize.model_copy(update={"rule": rule, "scope": scope})
        found = [ask_store(questions, store, [0, 1], ["I", "II"], normalize, 2) for store in (quiet, loud)]
        answers[scope] = [[one[way][0] for one in found] for way in ("query", "contrastive")]
    assert all(np.array_equal(*pair) for pair in answers["visible_leads"])
    assert not any(np.array_equal(*pair) for pair in answers["record"])


def test_records_without_the_shown_leads_get_no_answer(tmp_path, model):
    store = small.store(tmp_path / "store", n=3, leads=[lead for lead in LEADS if lead != "I"])
    questions = Questions(model, [vectors(2)], WAYS, TRAINING, MIXTURE)
    found = ask_store(questions, store, [0, 2], ["I"], small.params().normalize, 2)
    assert all(np.isnan(answer).all() for lists in found.values() for answer in lists)


def test_damaged_weights_are_told_from_answers(model, tokens):
    with torch.no_grad():
        model.project_ecg[0].weight[0, 0] = float("nan")
    asked(model, tokens, vectors(2), "query")
    with pytest.raises(UserError, match="damaged"):
        asked(model, tokens, vectors(2), "contrastive")
