"""Speed, accuracy and memory beside the reference and the other engines; docs/benchmarks.md tells how to read them."""
