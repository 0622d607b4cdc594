"""Where the members of a zip archive stand, of those that `torch.save` writes: none is compressed.

An archive ends with a directory: for every member its name, size, CRC-32 and place. The format is
https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, sections 4.3.7 to 4.3.16. The module
`zipfile` is not used, since it takes ten times the memory of the directory before it can be asked
how large that is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from smelt.export.bounded_file import BoundedFile

__all__ = ["Member", "members", "place"]

END = struct.Struct("<4s4H2LH")  # signature, disks, counts, size and start of the directory
LOCATOR = struct.Struct("<4sLQL")  # signature, disk, where the wide end stands, disks
WIDE_END = struct.Struct("<4sQ2H2L4Q")  # of archives over 4 GB: with counts and places of 64 bits
ENTRY = struct.Struct("<4s6H3L5H2L")
LOCAL = struct.Struct("<4s5H3L2H")
LONGEST_COMMENT = 0xFFFF
WIDE = 0xFFFFFFFF  # a number that stands in the extra field instead
ENCRYPTED = 1
MEMORY = 300  # bytes that a Member takes, and its place in a dict


class Member(NamedTuple):
    """Where a member stands.

    Attributes:
        name: as the directory writes it.
        header: the byte of the file with which its own header begins.
        size: its bytes.
        checksum: their CRC-32; None where `torch.save` was told to compute none.
        is_stored: whether it is neither compressed nor encrypted.
    """

    name: str
    header: int
    size: int
    checksum: int | None
    is_stored: bool


def members(file: BoundedFile) -> dict[str, Member]:
    """Returns name -> member.

    Raises:
        FileError: the archive has no directory, or one that contradicts itself.
    """
    count, start, size = _directory(file)
    content = file.read(start, size)
    result: dict[str, Member] = {}
    for member in _entries(file, content):
        file.take(MEMORY + len(member.name))
        if member.name in result:
            raise file.damaged(f"two members are named {_shown(member.name)}")
        result[member.name] = member
    if len(result) != count:
        raise file.damaged(f"its directory has {len(result)} members instead of {count}")
    file.give(size)
    end = 0
    for member in sorted(result.values(), key=lambda member: member.header):
        if member.header < end:
            raise file.damaged(f"member {_shown(member.name)} overlaps another one")
        end = member.header + LOCAL.size + len(member.name) + member.size * member.is_stored
    if end > start:
        raise file.damaged("a member overlaps the directory")
    return result


def place(file: BoundedFile, member: Member) -> int:
    """Returns the byte of the file with which a member's contents begin.

    Raises:
        FileError: it is compressed, or its own header does not agree with the directory.
    """
    if not member.is_stored:
        raise file.damaged(
            f"member {_shown(member.name)} is compressed or encrypted, but torch.save does neither"
        )
    parts = LOCAL.unpack(file.read(member.header, LOCAL.size))
    length, extra = parts[-2:]
    name = file.read(member.header + LOCAL.size, length)
    if parts[0] != b"PK\3\4" or name != member.name.encode():
        raise file.damaged(f"there is no member {_shown(member.name)} where the directory says")
    file.give(LOCAL.size + length)
    return member.header + LOCAL.size + length + extra


def _directory(file: BoundedFile) -> tuple[int, int, int]:
    """Returns how many entries the directory has, where it begins, and its bytes."""
    size = min(file.size, END.size + LONGEST_COMMENT)
    tail = file.read(file.size - size, size)
    at = tail.rfind(b"PK\5\6")
    if at < 0 or at + END.size > len(tail):
        raise file.damaged("a zip archive without a directory at its end")
    _, *_, count, length, start, comment = END.unpack_from(tail, at)
    end = file.size - size + at
    if at + END.size + comment != len(tail):
        raise file.damaged("there is more after the end of its directory")
    if at >= LOCATOR.size and tail[at - LOCATOR.size :].startswith(b"PK\6\7"):
        _, _, wide, _ = LOCATOR.unpack_from(tail, at - LOCATOR.size)
        signature, *_, count, length, start = WIDE_END.unpack(file.read(wide, WIDE_END.size))
        end = wide
        if signature != b"PK\6\6":
            raise file.damaged("the end of its directory is not where it says")
    if start + length > end:
        raise file.damaged("its directory is too long for the file")
    return count, start, length


def _entries(file: BoundedFile, content: bytes) -> Iterator[Member]:
    """Yields the members of a directory."""
    at = 0
    while at < len(content):
        if at + ENTRY.size > len(content):
            raise file.damaged("its directory ends within an entry")
        parts = ENTRY.unpack_from(content, at)
        signature, _, _, flags, method, _, _, checksum, packed, size = parts[:10]
        length, extra, comment, *_, header = parts[10:]
        name = content[at + ENTRY.size : at + ENTRY.size + length]
        at += ENTRY.size + length
        more = content[at : at + extra]
        at += extra + comment
        if signature != b"PK\1\2" or at > len(content):
            raise file.damaged("its directory has an invalid entry")
        size, packed, header = _widened(file, (size, packed, header), more)
        is_stored = method == 0 and not flags & ENCRYPTED
        if is_stored and packed != size:
            raise file.damaged(f"a member of {size} bytes takes {packed}")
        try:
            text = name.decode()
        except UnicodeDecodeError:
            raise file.damaged(f"the name of a member is not text: {name[:60]!r}") from None
        # where it is told not to compute checksums, torch.save writes zero
        yield Member(text, header, size, checksum or None, is_stored)


def _widened(file: BoundedFile, numbers: tuple[int, ...], extra: bytes) -> list[int]:
    """Returns the size, the packed size and the place, those over 4 GB from the extra field."""
    wide: list[int] = []
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1 and at + 4 + length <= len(extra):
            wide = list(struct.unpack_from(f"<{length // 8}Q", extra, at + 4))
        at += 4 + length
    result = []
    for number in numbers:
        if number == WIDE and not wide:
            raise file.damaged("the size of a member is missing")
        result.append(wide.pop(0) if number == WIDE else number)
    return result


def _shown(name: str) -> str:
    return repr(name[:60])
