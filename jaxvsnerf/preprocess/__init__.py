"""Repairs input pictures before training: noise, colour drift, outlier views."""
