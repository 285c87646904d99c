"""Making models say it: checkpoints on images. Empty so far."""
