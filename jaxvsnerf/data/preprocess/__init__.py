"""Input pictures made better before training: noise, colours that drift, views that fit no other."""
