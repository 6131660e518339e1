import numpy as np
import pytest
import small
import torch
from pydantic import ValidationError

from kmerl import methods
from kmerl.errors import UserError
from kmerl.model.encoder import EcgEncoder
from kmerl.model.heads import AttentionProjector, Projector
from kmerl.model.network import Network
from kmerl.model.params import SIZES, EncoderParams, ModelParams, ProjectorParams, QueryParams, Shape
from kmerl.model.query import QueryNetwork
from kmerl.model.reading import read
from kmerl.model.resnet import ResNet18, positions, untokenize
from kmerl.model.tokens import Shown, everything
from kmerl.waveforms import NormalizeParams, WaveformStore

SMALL = {
    "tokens": {"length": 20, "per": "lead", "padding": "tokens"},
    "encoder": {
        "kind": "vit",
        "pooling": "mean",
        "resnet_width": 2,
        "shape": {"width": 8, "depth": 2, "heads": 2},
        "feed_forward_ratio": 2.0,
        "dropout": 0.0,
        "lead_embedding": True,
        "time_embedding": True,
    },
    "query": {
        "width": 8, "depth": 2, "heads": 2, "head_dim": 3, "feed_forward": 16, "dropout": 0.0, "self_attention": True
    },
    "projector": {"hidden": 8, "width": 4, "normalization": "none"},
}  # fmt: skip


def small_model(**changes):
    params = {part: SMALL[part] | changes[part] if changes.get(part) else SMALL[part] for part in SMALL}
    options = small.OPTIONS["kmerl"] | {part: params.pop(part) for part in ("query", "projector")}
    if "query" in changes and changes["query"] is None:
        options |= {"query": None, "loss": small.CONTRAST | {"query_weight": 0.0, "query_reduction": "mean"}}
    torch.manual_seed(0)
    method = methods.made("kmerl", options)
    return Network(ModelParams.model_validate(params), method, text_width=6, samples=100).eval()


def signal(leads, seed=0):
    """(L, 100) mV, as a store can hold them."""
    samples = (1000 * np.random.default_rng(seed).normal(size=(leads, 100))).astype(np.int16)
    return samples.astype(np.float32) * np.float32(0.001)


def reading(model, *records, visible=None):
    """Records (signal, leads), read from a store."""
    shown = np.array([[lead in leads for lead in range(12)] for _, leads in records])
    samples = np.zeros((len(records), 12, 100), np.int16)
    for one, (signal, leads) in zip(samples, records, strict=True):
        one[leads] = np.rint(signal * 1000)
    store = WaveformStore.in_memory([small.waveform(one, length=100) for one in samples], 100)
    view = everything(shown, np.ones((len(records), 5), bool), model.params.tokens)
    if visible is not None:
        view = Shown(visible.any(2), visible)
    unclipped = NormalizeParams(rule="millivolt", clip_mv=100, scope="record")
    return read(store, np.arange(len(records)), view, model.params.tokens, unclipped)


def batch(model, *records, visible=None):
    """The same as groups."""
    return reading(model, *records, visible=visible).cut(torch.device("cpu"))


@torch.inference_mode()
def answers(model, signal, leads, queries=None):
    ((segments, lead, time),) = batch(model, (signal, leads))
    features = model.encode(segments, lead, time)
    queries = torch.ones(3, 6) if queries is None else queries
    return torch.cat([model.embed_ecg(features).ravel(), model.ask(features, queries).ravel()])


def test_one_lead_given_equals_twelve_leads_masked_to_it():
    model, whole = small_model(), signal(12)
    visible = np.zeros((2, 12, 5), dtype=bool)
    visible[:, 7] = True
    groups = batch(model, (whole, np.arange(12)), (whole[[7]], [7]), visible=visible)
    with torch.inference_mode():
        features = model.encode(*groups[0])
    assert torch.equal(features[0], features[1])


def test_reordering_leads_with_their_names_changes_nothing():
    model, whole = small_model(), signal(12)
    order = np.random.default_rng(1).permutation(12)
    assert torch.allclose(answers(model, whole, np.arange(12)), answers(model, whole[order], order), atol=1e-5)


def test_swapping_the_names_of_leads_matters():
    model, two = small_model(), signal(2)
    assert not torch.allclose(answers(model, two, [0, 1]), answers(model, two, [1, 0]), atol=1e-4)


def test_a_batch_of_mixed_lead_counts_equals_its_records_one_by_one():
    model = small_model()
    records = [(signal(n, n), list(range(n))) for n in (1, 3, 2, 1)]
    read = reading(model, *records)
    groups, order = read.cut(torch.device("cpu")), read.order
    queries = torch.randn(3, 6)
    with torch.inference_mode():
        features, pooled = model.pool(groups)
        ecg, logits = model.project(features, pooled), model.query.of_groups(features, queries)
    for place, i in enumerate(order):
        assert torch.allclose(torch.cat([ecg[place], logits[place]]), answers(model, *records[i], queries), atol=1e-5)


def test_without_self_attention_a_class_is_scored_alone():
    queries = torch.randn(3, 6)
    for self_attention in (True, False):
        model = small_model(query={"self_attention": self_attention})
        together, alone = answers(model, signal(2), [0, 1], queries), answers(model, signal(2), [0, 1], queries[:1])
        assert torch.allclose(together[4], alone[4], atol=1e-5) is not self_attention


@pytest.mark.parametrize(("switch", "count"), [("lead_embedding", 12 * 8), ("time_embedding", 5 * 8)])
def test_an_embedding_switched_off_has_no_weights(switch, count):
    def weights(model):
        return sum(weight.numel() for weight in model.parameters())

    assert weights(small_model()) - weights(small_model(encoder={switch: False})) == count


def test_a_token_over_all_leads_is_another_projection():
    model = small_model(tokens={"per": "segment"}, encoder={"lead_embedding": False})
    assert model.encoder.project.in_features == 12 * 20
    assert answers(model, signal(2), [0, 5]).shape == (7,)


def test_a_token_over_all_leads_with_a_lead_embedding_is_refused():
    with pytest.raises(ValidationError, match="has no lead to embed"):
        small_model(tokens={"per": "segment"})


def test_a_token_longer_than_a_record_is_refused_in_one_line():
    with pytest.raises(UserError, match="records have 100"):
        small_model(tokens={"length": 101})


@pytest.mark.parametrize(("size", "millions"), [("tiny", 5.4), ("small", 21.3), ("middle", 37.9), ("base", 85.1)])
def test_the_four_sizes_are_the_papers(size, millions):
    params = EncoderParams.model_validate(SMALL["encoder"] | {"shape": size, "feed_forward_ratio": 4.0})
    with torch.device("meta"):
        encoder = EcgEncoder(params, token_width=100, n_times=50)
    blocks = sum(weight.numel() for weight in encoder.blocks.parameters())
    assert blocks / 1e6 == pytest.approx(millions, rel=0.02)
    assert params.resolve() == SIZES[size]


@pytest.mark.parametrize(("heads", "head_dim"), [(3, 43), (5, 26)])
def test_heads_need_not_divide_the_width_of_the_query_network(heads, head_dim):
    params = QueryParams(
        width=128, depth=1, heads=heads, head_dim=head_dim, feed_forward=16, dropout=0.0, self_attention=True
    )
    assert QueryNetwork(params, text_width=6, ecg_width=8)(torch.randn(2, 7, 8), torch.randn(4, 6)).shape == (2, 4)


def test_heads_that_do_not_divide_the_encoders_width_are_refused():
    with pytest.raises(ValidationError, match="not a multiple"):
        Shape(width=10, depth=1, heads=3)


def test_lists_asked_together_get_the_answers_they_get_alone():
    model, features, queries = small_model(), torch.randn(2, 7, 8), torch.randn(5, 6)
    with torch.inference_mode():
        together = model.query(features, queries, [2, 3])
        alone = torch.cat([model.ask(features, queries[:2]), model.ask(features, queries[2:])], dim=1)
        one_list = model.ask(features, queries)
    assert torch.allclose(together, alone, atol=1e-6) and not torch.allclose(together, one_list, atol=1e-4)


RESNET = {
    "tokens": {"per": "segment"},
    "encoder": {"kind": "resnet18", "lead_embedding": False, "time_embedding": False},
    "query": None,
}
VIT = {"tokens": {"per": "segment"}, "encoder": {"lead_embedding": False}, "query": None}


def test_tokens_over_all_leads_put_together_are_the_waveform():
    whole = signal(12)
    ((segments, _, _),) = batch(small_model(**RESNET), (whole, np.arange(12)))
    assert torch.equal(untokenize(segments)[0], torch.from_numpy(whole))


def test_leads_keep_their_channel_whatever_is_missing_before_them():
    two = signal(2)
    ((segments, _, _),) = batch(small_model(**RESNET), (two, [1, 9]))
    back = untokenize(segments)[0].numpy()
    assert np.array_equal(back[[1, 9]], two) and not back[[0, 2, 3, 4, 5, 6, 7, 8, 10, 11]].any()


def test_a_resnet18_has_eighteen_layers_and_merls_width_gives_512():
    with torch.device("meta"):
        network = ResNet18(64)
    weighted = [m for m in network.modules() if isinstance(m, torch.nn.Conv1d) and m.kernel_size != (1,)]
    assert len(weighted) + 1 == 18  # and a classifier that is not needed here
    assert EncoderParams.model_validate(SMALL["encoder"] | {"kind": "resnet18", "resnet_width": 64}).width == 512
    (features,) = ResNet18(2)([(torch.randn(3, 50, 12 * 100), torch.empty(0), torch.empty(0))])
    assert features.shape == (3, 313, 16)


@pytest.mark.parametrize("samples", [5000, 5001, 1000, 130])
def test_the_positions_of_a_feature_map_are_known_before_it_is_made(samples):
    (features,) = ResNet18(1)([(torch.zeros(1, 1, 12 * samples), torch.empty(0), torch.empty(0))])
    assert features.shape[1] == positions(samples)


def attended(head, features):
    """MERL's ``downconv`` and ``AttentionPool2d``, head by head; the token's position is added twice there."""
    x = features @ head.narrow.weight.T + head.narrow.bias
    token = head.asks[0, 0] + 2 * head.positions[0, 0]
    rows = torch.cat([token[None], x + head.positions[0, 1:]])
    (query, key, value), width = (
        [rows @ w.T + b for w, b in zip(
            head.attention.in_proj_weight.chunk(3), head.attention.in_proj_bias.chunk(3), strict=True
        )],
        rows.shape[1] // 4,
    )  # fmt: skip
    mixed = []
    for part in (slice(i * width, (i + 1) * width) for i in range(4)):
        weights = (query[0, part] @ key[:, part].T / width**0.5).softmax(0)
        mixed.append(weights @ value[:, part])
    return head.out(head.attention.out_proj(torch.cat(mixed)))


def test_a_resnet18_that_pools_by_attention_does_as_merls_code():
    pooling = RESNET | {"encoder": RESNET["encoder"] | {"pooling": "attention"}}
    model = small_model(**pooling)
    head = model.project_ecg
    assert isinstance(head, AttentionProjector) and isinstance(model.project_text, Projector)
    features = model.encode(*batch(model, (signal(12), np.arange(12)), (signal(12, 1), np.arange(12)))[0])
    expected = torch.stack([attended(head, one) for one in features])
    assert torch.allclose(model.embed_ecg(features), torch.nn.functional.normalize(expected, dim=1), atol=1e-5)


def test_only_the_ecgs_projector_has_batchnorm_where_that_is_asked_for():
    for of, normed in (("ecg", True), ("text", False)):
        head = Projector(ProjectorParams(hidden=8, width=4, normalization="batch_ecg"), 6, of)
        assert any(isinstance(part, torch.nn.BatchNorm1d) for part in head) is normed


@pytest.mark.parametrize("changes", [VIT, RESNET], ids=["vit", "resnet18"])
def test_merl_gives_a_missing_lead_the_place_of_a_silent_one(changes):
    model, whole = small_model(**changes), signal(12)
    shown, silent = [0, 1, 8], whole.copy()
    silent[[lead for lead in range(12) if lead not in shown]] = 0
    with torch.inference_mode():
        one, other = (
            model.embed_ecg(model.encode(*batch(model, record)[0]))
            for record in ((whole[shown], shown), (silent, np.arange(12)))
        )
        every = model.embed_ecg(model.encode(*batch(model, (whole, np.arange(12)))[0]))
    assert torch.equal(one, other) and not torch.allclose(one, every, atol=1e-4)


def test_every_weight_of_a_resnet18_learns():
    model = small_model(**RESNET).train()
    groups = batch(model, *[(signal(12, seed), np.arange(12)) for seed in range(3)])
    model.project(*model.pool(groups))[:, 0].sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in model.encoder.parameters())


def test_a_model_without_a_query_network_compares_and_says_that_it_cannot_be_asked():
    model, features = small_model(**VIT), torch.randn(2, 5, 8)
    with torch.inference_mode():
        cosine = model.compare(features, torch.randn(3, 6))
    assert cosine.shape == (2, 3) and cosine.abs().max() <= 1 + 1e-6
    with pytest.raises(UserError, match="no part for this way of asking"):
        model.ask(features, torch.randn(3, 6))


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("tokens", {"per": "lead"}, "set tokens.per to segment"),
        ("tokens", {"padding": "dropped", "per": "segment"}, "set tokens.padding to tokens"),
        ("encoder", RESNET["encoder"] | {"time_embedding": True}, "set encoder.time_embedding to false"),
        ("encoder", {"pooling": "attention", "lead_embedding": False}, "set encoder.pooling to mean"),
    ],
)
def test_what_a_resnet18_cannot_read_is_refused(part, change, message):
    with pytest.raises(ValidationError, match=message):
        small_model(**(RESNET | {part: change}))
