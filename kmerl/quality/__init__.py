"""What was found in the recordings of each archive: counted, listed and shown."""
