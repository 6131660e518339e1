"""How much of a record is drawn, and how it is called."""

from kmerl.waveforms import WaveformStore

_MOST_SECONDS = 10.0  # drawn; a sheet of paper holds no more


def beginning(store: WaveformStore, row: int) -> tuple[str, int]:
    """What a record is called above its ECG, and how many of its samples are drawn."""
    length = int(store.records["length"][row])
    shown = min(length, round(_MOST_SECONDS * store.fs))
    cut = f", first {_MOST_SECONDS:g} s of {length / store.fs:.1f} s" if shown < length else ""
    return f"{store.archive} record {store.records['record_id'][row]}, {store.origin}{cut}", shown
