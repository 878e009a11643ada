"""Scores of pictures and surfaces against the truth, and of views against each other."""
