"""Volume rendering of a field: sampling along rays, compositing, whole images."""
