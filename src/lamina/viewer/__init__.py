"""A viewer for data sets on disk: a page, the official dataset-viewer API and a mirror for the `datasets` library."""
