"""Read and write files, without torch."""
