"""From an archive's files to the waveform store: leads found by name, gaps, resampling, length, flags."""
