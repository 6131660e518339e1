"""The model (paper sections 2.2, 2.3, 2.5): tokens, encoder, query network, losses."""
