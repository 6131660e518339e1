"""One reader per archive: raw files in their official layout -> records, statements, splits and targets."""
