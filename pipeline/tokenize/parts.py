"""Describes the numbered files of one folder."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Parts:
    """Describes the files of one source in a folder. The files are numbered.

    A file's name is computed from its number. At full scale, a list of all names would not fit into the graph of a Beam
    job.
    """

    source: str
    folder: str
    num_parts: int
    form: str
    """The format string of a file's name. The fields of this string are the file's number and the number of files."""
    only: tuple[int, int] | None = None
    """Selects the files of one dump: the number of the first file, and the number after the last. None: all files."""

    @property
    def numbers(self) -> range:
        """The numbers of the files. In the example, ``only`` selects the files of one dump.

        >>> Parts("books", "out", 4, "", only=(1, 3)).numbers
        range(1, 3)
        """
        return range(*(self.only or (0, self.num_parts)))

    def path(self, number: int) -> str:
        """Returns the path of the file with this number.

        >>> Parts("books", "out", 2, "part-{:05d}-of-{:05d}.parquet").path(1)
        'out/part-00001-of-00002.parquet'
        """
        return f"{self.folder}/{self.form.format(number, self.num_parts)}"
