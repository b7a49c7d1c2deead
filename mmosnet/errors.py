"""The exception for mistakes in a user's data or settings."""


class DataError(ValueError):
    """Something in the user's files or settings cannot be used.

    The message names the file or setting, the value found and the remedy. The tools print it without a
    traceback.
    """


def in_one_line(text: str) -> str:
    """Return text without line breaks and without lone surrogates, which a terminal cannot print."""
    return ''.join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
