"""Mean-pooled token features of a frozen encoder, before any projector (paper App. D.3)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kmerl.errors import UserError
from kmerl.features.params import EmbedEcgParams
from kmerl.inference import encode_records
from kmerl.leads import LEADS
from kmerl.model.network import Network
from kmerl.waveforms import NormalizeParams, WaveformStore


def scoped(params: EmbedEcgParams, normalize: NormalizeParams) -> dict[str, tuple[list[str], str]]:
    """Name of each set of features -> its leads, and what normalisation sees.

    A further scope makes features of its own only where it makes a difference: of some of the leads, by a rule that
    depends on it.
    """
    first, *others = params.scopes
    found = {title: (leads, str(first)) for title, leads in params.leads.items()}
    for scope in others if normalize.depends_on_scope else ():
        for title, leads in params.leads.items():
            if len(leads) < len(LEADS):
                found[f"{title} (scope {scope})"] = leads, scope
    return found


def pooled(
    model: Network,
    store: WaveformStore,
    rows: Sequence[int],
    leads: Sequence[str],
    normalize: NormalizeParams,
    batch: int,
) -> NDArray[np.float32]:
    """(n, D) mean over the tokens of the shown leads; NaN for records with none of them.

    Raises:
        UserError: the features are not finite.
    """
    result = np.full((len(rows), model.params.encoder.width), np.nan, np.float32)
    for features in encode_records(model, store, rows, leads, normalize, batch):
        mean = features.tokens.mean(1).cpu().numpy()
        if not np.isfinite(mean).all():
            raise UserError("the encoder answers with NaN: its weights are damaged; pretrain it again")
        result[features.records] = mean
    return result
