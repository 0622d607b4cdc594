"""Version: the one number that names a release."""

__version__ = "0.1.0"
