"""Scores of pictures against the truth: psnr, ssim, and tables of them."""
