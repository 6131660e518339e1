"""One self-contained page about everything that was run, found and left out."""
