"""Names for people: of tasks, ways of asking, scopes, shares, groups of classes."""

from kmerl.evaluation.schemas import AVERAGE, MACRO, MACRO_RENAMED, MACRO_SEEN

_TITLES = {
    "ptbxl_super": "PTB-XL Super",
    "ptbxl_sub": "PTB-XL Sub",
    "ptbxl_form": "PTB-XL Form",
    "ptbxl_rhythm": "PTB-XL Rhythm",
    "cpsc2018": "CPSC2018",
    "csn": "CSN",
    AVERAGE: "Average",
}


WAYS = {
    "query": "query network",
    "contrastive": "cosine with the name",
    "average": "mean of both",
    "mixture": "nearest training queries",
}
"""The ways of asking, for people."""


def title(dataset: str) -> str:
    """The name of a task for people."""
    return _TITLES.get(dataset, dataset)


def lead_count(count: int) -> str:
    """How a number of leads is written."""
    return "1 lead" if count == 1 else f"{count} leads"


SCOPES = {"record": "all leads of the record", "visible_leads": "the shown leads only", "lead": "each lead by itself"}


PROBES = {
    "paper": "the paper's",
    "standardized": "standardised features",
    "logistic": "logistic regression",
    "merl_code": "MERL's code, epoch chosen on test",
}
"""The kinds of linear probes, for people."""


def share_name(share: float) -> str:
    """A share of the training split for people, e.g. ``1%``."""
    return f"{100 * share:g}%"


SEEN, OTHER, RENAMED, ALL = "seen", "seen, other names", "renamed", "all"


GROUPS = {
    SEEN: (MACRO_SEEN, "name"),
    OTHER: (MACRO_SEEN, "other_name"),
    RENAMED: (MACRO_RENAMED, "name"),
    ALL: (MACRO, "name"),
}
"""Group of classes -> the metric over it, and the names it is asked by."""


REPORT_LANGUAGES = {"mimic_iv_ecg": ["en"], "ptb_xl": ["de", "en", "sv"]}
"""Archive -> the languages of its reports, the commonest first, as ISO 639-1 codes."""
