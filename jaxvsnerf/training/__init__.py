"""Training: losses, the three stages, the train step, the training loop and checkpoints."""
