"""The tables that every evaluation writes; apart from it, so that readers of them need no model."""

import pyarrow as pa

_KEYS = [
    pa.field("evaluation", pa.string(), nullable=False),  # the room of kmerl.evaluations that it is of
    pa.field("dataset", pa.string(), nullable=False),  # a task, or the average over all evaluated tasks
    pa.field("leads", pa.string(), nullable=False),  # name of the lead set
    pa.field("scope", pa.string()),  # leads that normalisation saw
    pa.field("way", pa.string()),  # of asking
    pa.field("names", pa.string()),  # column of the table of classes whose texts were asked
    pa.field("kind", pa.string()),  # of probe
    pa.field("share", pa.float64()),  # of the task's training records that a probe learnt from
    pa.field("metric", pa.string(), nullable=False),
]
CONDITION = ("leads", "scope", "way", "names", "kind", "share")
"""The columns that tell under what records were shown and asked about; null where they do not apply."""
SCORES = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),  # or the features that no run made
        pa.field("seed", pa.int64()),  # that it was pretrained from
        *_KEYS,
        pa.field("code", pa.string()),  # of one class
        pa.field("value", pa.float64(), nullable=False),  # mean over draws; NaN where nothing could be averaged
        pa.field("low", pa.float64(), nullable=False),
        pa.field("high", pa.float64(), nullable=False),
        pa.field("draws", pa.int32()),  # of a share's records
        pa.field("spread", pa.float64()),  # deviation over several draws
        pa.field("n", pa.int32(), nullable=False),  # records
        pa.field("positives", pa.int32(), nullable=False),  # labels of the classes counted
        pa.field("classes", pa.int32(), nullable=False),  # counted; of an average the tasks counted
        pa.field("train_records", pa.int32()),  # of an average the sum over tasks
        pa.field("left_out", pa.list_(pa.string()), nullable=False),  # codes without an AUC; of an average tasks
        # codes counted with AUC 0.5 in some draw, which has no positive or no negative of them; of an average task/code
        pa.field("untrained", pa.list_(pa.string())),
    ]
)
"""Of every evaluation."""
RESAMPLES = pa.schema(
    [*_KEYS, pa.field("values", pa.list_(pa.float32()), nullable=False)]  # NaN where a resample has no value
)
AVERAGE = "average"
"""The dataset of the rows that average over tasks."""
MACRO, MACRO_MIN, PER_CLASS = "macro_auc", "macro_auc_min", "auc"
"""The metrics: over a task's classes, over those of them with enough positives, and of one class."""
MACRO_SEEN, MACRO_RENAMED = "macro_auc_seen", "macro_auc_renamed"
"""Over the classes whose plain name is a training query, and over the others."""
