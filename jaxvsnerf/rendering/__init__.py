"""From a field and rays to pictures: sampling, compositing, whole images."""
