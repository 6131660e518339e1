"""Scores as tables that people read and programs load, published figures in rows of their own."""
