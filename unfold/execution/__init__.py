"""Running Programs: on any backend (`runs`), and in segments that are recomputed (`recompute`)."""
