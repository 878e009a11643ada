"""Diffusion models that generate views of an object from one photo: SyncDreamer, Zero-1-to-3.

Arrays are channels-last: pictures [..., height, width, C], volumes [..., depth, height, width, C].
Modules have no dtype of their own: matrix products and convolutions run in the dtype of weights
and inputs; normalisation statistics, softmax and the noise schedule stay float32.
"""
