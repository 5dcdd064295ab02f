"""How a model is run fast: which rows share a pass, in what precision, by which kernels."""
