"""malha compiles one file into a WireGuard overlay, proves it, and runs it."""

__version__ = "0.1.0"
