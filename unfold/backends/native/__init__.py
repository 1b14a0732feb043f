"""The parts that compiled backends share: memory, threads, clocks and stored kernels."""
