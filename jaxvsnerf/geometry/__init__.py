"""Cameras, rays and the visual hull: geometry that needs no field."""
