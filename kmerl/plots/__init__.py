"""Figures: ECG paper, zero-shot scores, training curves, and single records with their answers."""
