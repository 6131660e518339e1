"""Lead names, their spellings and orders, and the relations between limb leads.

Leads are always selected by name: archives differ in order (MIMIC-IV-ECG stores aVF before aVL) and in spelling.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from kmerl.errors import UserError

LEADS: tuple[str, ...] = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
"""The order of the waveform store and of the model's lead embeddings."""

PARTIAL_ORDER: tuple[str, ...] = ("I", "II", "III", "aVF", "aVR", "aVL", "V1", "V2", "V3", "V4", "V5", "V6")
"""The order in which the paper adds leads (App. D.3)."""

_CANONICAL = {name.lower(): name for name in LEADS}
_PREFIX = re.compile(r"^(?:(?:mdc_ecg_lead|ecg|lead|ableitung)(?:-(?! )|[\s_.:]*))*")
_SUFFIX = re.compile(r"[\s_-]+lead$")
_NUMBERED = re.compile(r"^(?:ecg[\s_.:-]*)?lead[\s_.:-]?([123])$")  # a bare number may be a channel's
_INNER_BLANK = re.compile(r"^(a?[vc])[\s_.\-]+(?=[rlf1-6]$)|^(d)[\s_.\-]+(?=i{1,3}$|[123]$)")
_ALIASES = {
    **dict.fromkeys(("di", "d1", "l1"), "I"),
    **dict.fromkeys(("dii", "d2", "l2"), "II"),
    **dict.fromkeys(("diii", "d3", "l3"), "III"),
    **{"vr": "aVR", "vl": "aVL", "vf": "aVF"},
    **{f"c{i}": f"V{i}" for i in range(1, 7)},
}


@cache
def canonical(name: str) -> str:
    """The name of a lead as this project writes it, from any usual spelling (``AVR``, ``lead ii``, ``DI``, ``v1``).

    Raises:
        UserError: no such lead among the twelve (a modified one such as ``MLII`` is another), or an inverted one
            (``-aVR``).
    """
    key = unicodedata.normalize("NFKC", name).strip().lower()  # Roman numerals and subscripts have their own signs
    if key.startswith(("-", "\u2212")):
        raise UserError(f"lead {name!r} is inverted; change its sign and its name")
    key = _NUMBERED.sub(r"d\1", key)
    key = _SUFFIX.sub("", _PREFIX.sub("", key).strip(" _.:"))
    key = _INNER_BLANK.sub(r"\1\2", key)  # "ECG lead V 1"; "I II" is no lead
    lead = _CANONICAL.get(key) or _ALIASES.get(key)
    if lead is None:
        raise UserError(f"lead {name!r} is not one of {', '.join(LEADS)}; rename it or leave it out")
    return lead


def is_lead(name: str) -> bool:
    """Whether a name is one of the twelve leads, in any usual spelling."""
    try:
        canonical(name)
    except UserError:
        return False
    return True


def positions(names: Iterable[str], within: Sequence[str] = LEADS) -> list[int]:
    """Where each of ``names`` stands in ``within``, both in any spelling.

    Raises:
        UserError: a lead is unknown, is asked twice, or is not in ``within``.
    """
    index = {canonical(name): i for i, name in enumerate(within)}
    if len(index) != len(within):
        raise UserError(f"leads {list(within)} name one lead twice; keep one of them")
    result = []
    for name in names:
        lead = canonical(name)
        if lead not in index:
            raise UserError(f"lead {lead} is not among the leads present ({', '.join(index)})")
        if index[lead] in result:
            raise UserError(f"lead {lead} is asked twice; name it once")
        result.append(index[lead])
    return result


def bit_mask(names: Iterable[str]) -> int:
    """Leads as bits: bit ``l`` is ``LEADS[l]``."""
    return sum(1 << position for position in positions(names))


def from_bit_mask(mask: int) -> tuple[str, ...]:
    """The leads of a bit mask, in the order of :data:`LEADS`."""
    return tuple(lead for i, lead in enumerate(LEADS) if mask >> i & 1)


def derive_limb_leads(lead_i: NDArray[np.floating], lead_ii: NDArray[np.floating]) -> dict[str, NDArray[np.floating]]:
    """III, aVR, aVL and aVF from I and II, in the same unit (Einthoven's and Goldberger's relations)."""
    return {
        "III": lead_ii - lead_i,
        "aVR": -(lead_i + lead_ii) / 2,
        "aVL": lead_i - lead_ii / 2,
        "aVF": lead_ii - lead_i / 2,
    }
