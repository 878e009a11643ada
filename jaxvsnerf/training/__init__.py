"""Losses, the three stages, the train step, the loop and its checkpoints."""
