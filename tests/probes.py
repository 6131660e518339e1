"""Parameters of probes, and labels that a line separates."""

import numpy as np

from kmerl.evaluation.params import EvaluationParams
from kmerl.evaluations.linear_probe import LinearProbeParams
from kmerl.evaluations.linear_probe.probe import Examples
from kmerl.randomness import generator


def probe_params(**changes):
    values = {
        "baselines": [], "kinds": ["standardized"], "shares": [0.1, 1.0], "draws": 2, "select": "last",
        "learning_rate": 0.01, "weight_decay": 1e-5, "batch": 16, "epochs": 30, "warmup_steps": 5,
        "logistic_c": [0.01, 1.0], "threads": 1,
    }  # fmt: skip
    return LinearProbeParams(**(values | changes))


def evaluation_params(**changes):
    values = {
        "archives": ["toy"], "splits": ["test"], "batch": 8, "threads": 1, "bootstrap": 100, "confidence": 0.95,
        "min_positives": 5,
    }  # fmt: skip
    return EvaluationParams(**(values | changes))


def separable(n, name, width=6, classes=3):
    """Labels that are signs of fixed directions of the features."""
    features = generator(0, "separable", name).normal(size=(n, width)).astype(np.float32) + 2
    directions = generator(0, "directions").normal(size=(width, classes))
    return Examples(features, (features - 2) @ directions > 0.3)
