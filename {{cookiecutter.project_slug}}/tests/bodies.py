"""Bodies of a given size, which are costly to parse or to validate."""


def filled(size: int, part: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
    """Repeat a part as often as the size allows."""
    return before + part * ((size - len(before) - len(after)) // len(part)) + after


def many(size: int, template: str, before: bytes = b"", after: bytes = b"") -> bytes:
    """Return a body of at most `size` bytes: a part with a running number, repeated after commas."""
    length = len(template.format(size)) + 1
    number = (size - len(before) - len(after)) // length
    return before + ",".join(template.format(n) for n in range(number)).encode() + after
