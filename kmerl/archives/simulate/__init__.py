"""Simulated archives: a cardiac dipole, a beat schedule and a table of conditions, written in the official layouts."""
