"""The core: index algebra, types, the typed `Program` with delays, the op table and its checks."""
