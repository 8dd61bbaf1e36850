"""Defines the error about a wrong setting in a configuration file."""

from __future__ import annotations


class SettingError(ValueError):
    """Raised if a setting in a configuration file is wrong. It knows the setting's place, so that the message can name
    the line (:func:`mixtures.config_files.naming_file`).

    >>> SettingError("weight of books is 0", "mixture.weights.books").where
    'mixture.weights.books'
    """

    def __init__(self, message: str, where: str) -> None:
        super().__init__(message)
        self.where = where
        """The keys that lead to the setting, joined with dots. An item of a list is ``[0]``."""


def place_of(error: ValueError, default: str) -> str:
    """Returns the place in the file of the setting that is wrong. Returns ``default`` if the error does not have it.

    >>> place_of(ValueError("x"), "corpora.mine"), place_of(SettingError("x", "corpora.mine.files"), "corpora.mine")
    ('corpora.mine', 'corpora.mine.files')
    """
    return error.where if isinstance(error, SettingError) else default
