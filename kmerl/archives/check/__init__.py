"""Which records below a folder can be read, and what is amiss with the others: ``python -m kmerl.archives check``."""
