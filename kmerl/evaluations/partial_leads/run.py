"""Zero-shot with a growing number of leads, and with every lead alone (paper App. D.3)."""

import polars as pl

from kmerl.evaluation.answers import Records
from kmerl.evaluations.partial_leads import PartialLeadsParams
from kmerl.evaluations.partial_leads.schemas import LEAD_SETS, NESTED, SINGLE
from kmerl.randomness import generator


def lead_sets(params: PartialLeadsParams) -> pl.DataFrame:
    """The sets that are shown (schema ``LEAD_SETS``): ``1``, ``2``, ... in the order asked, then ``only V1`` etc."""
    order = params.order
    rows = [(str(count), NESTED, count, order[:count]) for count in range(1, len(order) + 1)]
    rows += [(f"only {lead}", SINGLE, 1, [lead]) for lead in order if params.single]
    return pl.DataFrame(rows, schema=LEAD_SETS.names, orient="row")


def draw(records: Records, count: int | None, seed: int) -> Records:
    """At most ``count`` of an archive's records, the same for every run; all if None."""
    if count is None or count >= len(records.rows):
        return records
    drawn = generator(seed, "partial leads", records.archive).permutation(len(records.rows))[:count]
    return records.take(sorted(drawn.tolist()))
