"""The exception for mistakes in a user's data or settings."""


class DataError(ValueError):
    """Something in the user's files or settings cannot be used.

    The message names the file or setting, the value found and the remedy. The tools print it without a
    traceback.
    """
