"""What compiled backends share: memory, threads, clocks and kept kernels around their blocks."""
