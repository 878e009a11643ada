"""Multi-view diffusion models that make the pictures: SyncDreamer and Zero-1-to-3.

Channels last throughout: pictures [..., height, width, C], volumes [..., depth, height, width, C].
Modules have no dtype of their own: products run in the dtype of weights and inputs; the
statistics of norms, softmax and the schedule stay float32.
"""
