"""The tables of the chain from reports to labels; apart from it, so that readers of them need no language model."""

import pyarrow as pa

MENTIONS = pa.schema(
    [
        pa.field("report_id", pa.string(), nullable=False),
        pa.field("entity", pa.string(), nullable=False),
        pa.field("start", pa.int32()),
        pa.field("end", pa.int32()),
        pa.field("request", pa.string(), nullable=False),
    ]
)
"""An entity as the answer names it, its place ``[start, end)`` in the report's text (null if it is not written so;
:func:`~kmerl.knowledge.spans.locate` chooses among several), and the id of the question."""


VERIFIED = pa.schema(
    [
        pa.field("report_id", pa.string(), nullable=False),
        pa.field("entity", pa.string(), nullable=False),
        pa.field("answer", pa.string(), nullable=False),
        pa.field("occurs", pa.bool_()),
        pa.field("negated", pa.bool_()),
        pa.field("flagged", pa.bool_(), nullable=False),
        pa.field("kept", pa.bool_(), nullable=False),
        pa.field("request", pa.string(), nullable=False),
    ]
)
"""``answer``: yes, no, unusable, or not asked (verification left out). ``occurs``: the entity is written in the report;
``negated``: the report denies it there, or says it of the past (null if it is not written); both null if the guard is
off. ``flagged``: the guard found that it does not occur, or is negated."""


UNUSABLE = pa.schema(
    [
        pa.field("report_id", pa.string()),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("answer", pa.string(), nullable=False),
        pa.field("request", pa.string(), nullable=False),
    ]
)
"""What could not be used: of which report (null if the question was about all), why, the raw text, which question."""


LABELS = pa.schema(
    [
        pa.field("record_id", pa.string(), nullable=False),
        pa.field("positives", pa.list_(pa.int32()), nullable=False),
    ]
)
"""``positives``: ascending indices into the vocabulary's queries."""


TRACE = pa.schema(
    [
        pa.field("report_id", pa.string(), nullable=False),
        pa.field("query", pa.string(), nullable=False),
        pa.field("via", pa.string(), nullable=False),
        pa.field("entity", pa.string(), nullable=False),
        pa.field("start", pa.int32()),
        pa.field("end", pa.int32()),
        pa.field("extract_request", pa.string(), nullable=False),
        pa.field("verify_request", pa.string(), nullable=False),
    ]
)
"""Why a report sets a bit: query <- merged entity ``via`` (the query itself, or a member of it) <- entity as written
at ``[start, end)`` <- the questions that extracted and verified it."""


UNLABELLED = pa.schema(
    [pa.field("record_id", pa.string(), nullable=False), pa.field("reason", pa.string(), nullable=False)]
)


REPORTS = pa.schema(
    [
        pa.field("report_id", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("records", pa.int64(), nullable=False),
    ]
)


STUDIES = pa.schema(
    [pa.field("record_id", pa.string(), nullable=False), pa.field("report_id", pa.string(), nullable=False)]
)


UNUSED = pa.schema(
    [
        pa.field("record_id", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
    ]
)
