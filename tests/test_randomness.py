"""Numbers that many records draw at once."""

import numpy as np
import torch

from kmerl import randomness
from kmerl.model import noise
from kmerl.model.noise import normal
from kmerl.randomness import streams, uniform


def test_a_member_draws_the_same_whoever_draws_beside_it_and_however_much():
    together = uniform(streams(np.arange(50), 1, "mask", 3), 20)
    some = np.array([40, 7])
    assert np.array_equal(uniform(streams(some, 1, "mask", 3), 8), together[some, :8])


def test_members_names_and_seeds_draw_apart():
    members = np.arange(1000)
    drawn = [uniform(streams(members, *names), 50) for names in ((1, "a", 0), (1, "a", 1), (1, "b", 0), (2, "a", 0))]
    everything = np.concatenate(drawn)
    assert len(np.unique(everything)) == everything.size
    correlation = np.corrcoef(np.stack([one.ravel() for one in drawn]))
    assert np.abs(correlation - np.eye(4)).max() < 0.02
    assert np.abs(np.corrcoef(drawn[0][:200]) - np.eye(200)).max() < 0.8


def test_numbers_are_even_between_0_and_1():
    numbers = uniform(streams(np.arange(2000), 1, "even"), 100)
    assert numbers.min() >= 0 and numbers.max() < 1
    counts = np.histogram(numbers, 20, (0, 1))[0]
    assert np.abs(counts / counts.mean() - 1).max() < 0.05
    assert np.abs(numbers.mean(0) - 0.5).max() < 0.04 and np.abs(numbers.mean(1) - 0.5).max() < 0.16


def test_a_stream_is_splitmix64():
    """The published generator, from the state 1234567."""
    first = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    expected = [(number >> 11) * 2.0**-53 for number in first]
    assert uniform(np.array([1234567], np.uint64), 3)[0].tolist() == expected


def test_noise_is_normal_and_that_of_its_stream_and_place():
    begins = torch.from_numpy(streams(np.arange(300), 1, "noise").view(np.int64))
    places = torch.arange(300)
    values = normal(begins, places, 101)
    assert values.shape == (300, 101) and values.dtype == torch.float32 and values.isfinite().all()
    assert abs(values.mean()) < 0.02 and abs(values.std() - 1) < 0.02
    assert abs((values**4).mean() - 3) < 0.2 and abs((values.abs() < 1).float().mean() - 0.6827) < 0.01
    some = torch.tensor([200, 4, 77])
    assert torch.equal(normal(begins[some], places[some], 101), values[some])
    one_stream = normal(begins[:1].expand(300), places, 100)
    assert np.abs(np.corrcoef(one_stream[:100].numpy()) - np.eye(100)).max() < 0.5


def test_numbers_without_sign_are_mixed_alike_here_and_there():
    numbers = streams(np.arange(5000), 1, "bits")
    there = noise._mixed(torch.from_numpy(numbers.view(np.int64)))
    assert np.array_equal(there.numpy().view(np.uint64), randomness._mixed(numbers))
