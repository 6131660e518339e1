"""The text encoder and what it made of texts."""
