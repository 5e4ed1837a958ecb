"""Records of batch retries."""
