"""What commands share: options, loading a spec and its data, messages, tables and progress."""
