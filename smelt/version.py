"""Which release this is: the name to install it by, and its number."""

__all__ = ["DISTRIBUTION", "install_command"]

DISTRIBUTION = "smelt-learn"  # on the package index, where `smelt` is another project
__version__ = "0.1.0"


def install_command(extra: str) -> str:
    """Returns the line for a shell that installs Smelt with an extra."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"
