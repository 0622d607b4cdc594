"""The name under which other rooms still know `smelt.atomic`."""

from smelt.atomic import replacing, writable_folder, write_bytes

__all__ = ["replacing", "writable_folder", "write_bytes"]
