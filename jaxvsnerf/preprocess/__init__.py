"""Input pictures made better before training: noise, drifting colours, views that fit no other."""
