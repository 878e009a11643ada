"""The radiance field: encode -> shared -> view branches -> combine -> decode."""
