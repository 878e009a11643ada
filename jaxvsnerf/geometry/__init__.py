"""Geometry without a field: cameras, rays and the visual hull."""
