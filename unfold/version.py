"""The version of the package, which imports nothing, so that every layer may say it."""

VERSION = "0.1.0"
