"""A record of any length as windows of the length a run learnt from, each made as the waveform store makes records."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kmerl.archives.wfdb_format import RecordError, Recording
from kmerl.checkpoint import RunConfig
from kmerl.errors import UserError
from kmerl.leads import from_bit_mask
from kmerl.preprocessing.repair import WaveformParams, prepare
from kmerl.shards import Waveform
from kmerl.use.signal import SHORTEST

_MAX_NAN_SHARE = 0.1  # as in the store: a lead with more gaps than this is not used


@dataclass(frozen=True)
class Window:
    """A stretch of the record.

    Attributes:
        start, stop: s from the record's beginning.
        waveform: its leads as the store would hold them.
    """

    start: float
    stop: float
    waveform: Waveform

    @property
    def leads(self) -> tuple[str, ...]:
        """Leads in use."""
        return from_bit_mask(self.waveform.leads)


def starts(length: int, window: int, hop: int, least: int) -> list[int]:
    """Where windows begin, in samples; the last one ends with the record, unless it would add less than ``least``."""
    if length <= window:
        return [0]
    found = list(range(0, length - window + 1, hop))
    if length - (found[-1] + window) >= least:
        found.append(length - window)
    return found


def cut(recording: Recording, config: RunConfig, hop: float | None) -> tuple[list[Window], list[str]]:
    """The windows of a record that hold anything, and warnings.

    Each is cut at the record's own rate and then resampled, so that the first one is what preprocessing stores.

    Args:
        recording: leads in the order of ``LEADS``.
        config: of the run; its rate and length.
        hop: s from one window to the next; None for a window's length.

    Raises:
        UserError: the rate is out of reach, or no window has a usable lead.
    """
    seconds = config.samples / config.fs
    if hop is not None and not 0 < hop <= seconds:
        raise UserError(f"hop {hop} s; give more than 0 and at most the window's {seconds:g} s")
    params = WaveformParams(
        fs=round(config.fs), seconds=seconds, min_seconds=min(SHORTEST, seconds), min_leads=1,
        max_nan_share=_MAX_NAN_SHARE, derive_limb_leads=False,
    )  # fmt: skip
    size = math.ceil(seconds * recording.fs)
    step = max(1, round((hop or seconds) * recording.fs))
    token = math.ceil(config.model.tokens.length / config.fs * recording.fs)
    windows, failures = [], []
    begins = starts(recording.samples.shape[1], size, step, token)
    for begin in begins:
        part = replace(recording, samples=recording.samples[:, begin : begin + size], first=None, checksum=None)
        try:
            waveform = prepare(part, params)
        except RecordError as error:
            if error.reason != "too_few_leads":
                raise UserError(str(error)) from None
            failures.append(begin)
            continue
        windows.append(Window(begin / recording.fs, (begin + part.samples.shape[1]) / recording.fs, waveform))
    if not windows:
        raise UserError(f"no usable lead: {', '.join(recording.leads)} flat or with too many gaps")
    warnings = left_out(recording.leads, windows)
    if failures:
        warnings.append(f"{len(failures)} of {len(begins)} windows have no usable lead; they were left out")
    return windows, warnings


def left_out(leads: Sequence[str], windows: Sequence[Window]) -> list[str]:
    """Leads that are not used in all windows."""
    warnings = []
    for lead in leads:
        missing = sum(lead not in window.leads for window in windows)
        if missing == len(windows):
            warnings.append(f"lead {lead} is flat or has too many gaps; it was left out")
        elif missing:
            warnings.append(f"lead {lead} is flat or has too many gaps in {missing} of {len(windows)} windows")
    return warnings
