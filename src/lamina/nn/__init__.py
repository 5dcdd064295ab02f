"""The modules every model is built from, and the ways a batch may lie in memory."""
