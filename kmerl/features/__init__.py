"""Features of whole archives: of frozen encoders, and of random convolutions, which learn nothing."""
