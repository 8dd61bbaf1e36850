"""Measures how much of one book is contained in another, to find books that are almost completely inside another book.

The LLaMA paper (arXiv 2302.13971, section 2.1) says that it removes "books with more than 90% content overlap", and
gives no details. In this module the content is the set of a book's word 5-grams (:func:`shingles`). The overlap of two
books is the number of shingles that they share, divided by the size of the smaller set (:func:`overlap`). So a book
inside an omnibus has a large overlap with the omnibus.

The pipeline uses these functions for any number of books. It does not compare all pairs. It also does not shuffle texts
(send them from one worker to another). The steps are:

1. For each book it computes all shingles, ``s = shingles(text)``, and a sample of them, ``k = sketch(s)``. It divides
   the hashes of the sketch into buckets. Equal hashes are always in the same bucket. For each book and bucket it
   shuffles one record: the book's hashes in this bucket, and the book's key, sizes and id. The records of a book of 500
   kB take 16 kB: 75,000 shingles / 64 * 8 bytes for the hashes, and 40 bytes for each of 156 buckets. So 200,000 such
   books (100 GB of text) need 3.2 GB. A worker has one bucket in memory. The records of a bucket take 20 MB, and
   sorting their hashes takes six times as much memory.
2. In each bucket :func:`filters.books.overlap_groups.pairs_of_bucket` counts the hashes that each pair of books shares
   there.
3. The counts of a pair are summed over the buckets. :func:`filters.books.overlap_groups.is_candidate` decides from the
   sum whether the pair is verified. Whether a sketch contains a shingle depends only on the shingle's hash. So all
   sketches sample the same shingles, and the shared part of two sketches estimates the overlap of the two books.
   :func:`filters.books.overlap_groups.miss_probability` returns how often a true pair is missed.
4. Candidates are verified with ``overlap(shingles(a), shingles(b))``, which is exact. The shingles are read from spill
   files (files on disk that are never shuffled), to which step 1 wrote them. A shingle takes 8 bytes there: 0.6 MB for
   a book of 500 kB, 120 GB for 200,000 books. So 1.2 MB are read to verify a pair, and no text is read twice.
5. :func:`filters.books.overlap_groups.resolve` returns the books to drop, and for each of them the kept book that
   contains it.

**What is a word.** Two editions of one book differ in case, quotes, dashes, marks of italics, line breaks and accents.
(Gutenberg's seven-bit editions replace an accent by ``e`` or by nothing.) These differences must not reduce the
overlap. So letters are lower-cased and lose their accents (NFKD without marks; ``ß æ œ ø ł đ ð þ`` by a table).
Everything that is neither letter nor digit separates words. ``ae oe ue`` become ``a o u``, since seven-bit editions of
German and Scandinavian books write ``ä`` as ``ae`` or as ``a``. (``blue`` and ``blu`` become one word, which has no
effect on 5-grams.) In scripts written without spaces each character is a word.
"""

from __future__ import annotations

import functools
import re
import unicodedata

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

NGRAM_WORDS = 5
KEEP_ONE_IN = 64
"""On average, a sketch contains one of this many shingles. Our choice: the shortest books that reach the dedup have
1,000 words. With 64, a pair of such books is missed five times in a million. Pairs of longer books are missed far less
often (see ``miss_probability``)."""

_BLOCK_BYTES = 1 << 18  # fits a core's cache; measured fastest among 64 kB to 4 MB
_TOKEN_SEED = 0x9E3779B97F4A7C15
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_FOLDED = str.maketrans(
    {"ß": "ss", "æ": "a", "œ": "o", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i", "ŋ": "n"}
)
_UNSPACED = re.compile(r"([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff])")


def _ascii_table() -> bytes:
    """Returns a table for ``bytes.translate``. It lower-cases ASCII letters, keeps digits and bytes over 127, and turns
    all remaining bytes into blanks.
    """
    table = bytearray(b" " * 128 + bytes(range(128, 256)))
    for code in range(128):
        if chr(code).isalnum():
            table[code] = ord(chr(code).lower())
    return bytes(table)


ASCII_TABLE = _ascii_table()
"""Maps each byte of a text from :func:`folded` to a byte of the normalised text."""
_IS_IN_WORD = ~np.isin(np.arange(256), [32, 255])
"""An array with one boolean per byte value. The boolean is True if the byte belongs to a word in a normalised text."""


def _fold_run(run: str) -> str:
    """Normalises a run of characters outside ASCII: lower-cases letters, removes accents, and replaces everything
    except letters and digits by spaces."""
    decomposed = unicodedata.normalize("NFKD", run.lower()).lower().translate(_FOLDED)
    kept = "".join(
        char if char.isalnum() else " " for char in decomposed if not unicodedata.category(char).startswith("M")
    )
    return _UNSPACED.sub(r" \1 ", kept)


def normalise(text: str) -> bytes:
    """Returns the words of a text as UTF-8, separated by spaces: lower-cased, without accents and punctuation.

    The module docstring says what a word is.

    >>> normalise("_Café_—“THE  blue Häuser”").split() == normalise("cafe -- the Blue Haeuser").split()
    True
    >>> normalise("我是").decode().split()
    ['我', '是']
    """
    return normalise_encoded(folded(text, {}))


def folded(text: str, known: dict[str, str]) -> bytes:
    """Lower-cases all characters outside ASCII, removes their accents, and returns the text as UTF-8.

    This is the first half of :func:`normalise`. ``known`` is a cache: it maps a run of characters outside ASCII to the
    normalised run.
    """
    if not text.isascii():

        def fold(match: re.Match[str]) -> str:
            run = match.group()
            found = known.get(run)
            if found is None:
                found = known[run] = _fold_run(run)
            return found

        text = _NOT_ASCII.sub(fold, text)
    return text.encode("utf-8", "replace")


def normalise_encoded(raw: bytes) -> bytes:
    """Normalises the ASCII bytes of a text from :func:`folded`. Letters are lower-cased, digits stay, and every other
    ASCII byte becomes a space. Then ``ae oe ue`` become ``a o u``.

    This is the second half of :func:`normalise`. Bytes above 127 are not changed. So the byte 0xff, which UTF-8 never
    contains, can be used to separate documents.
    """
    raw = raw.translate(ASCII_TABLE)
    data = np.frombuffer(raw, np.uint8)
    places = np.flatnonzero(data[1:] == ord("e")) + 1
    before = data[places - 1]
    dropped = places[(before == ord("a")) | (before == ord("o")) | (before == ord("u"))]
    return raw if not dropped.size else np.delete(data, dropped).tobytes()


def mix(values: Hashes) -> Hashes:
    """Mixes the bits of hashes in place, so that every input bit affects every output bit. This is the finaliser of
    splitmix64.
    """
    values ^= values >> np.uint64(30)
    values *= np.uint64(0xBF58476D1CE4E5B9)
    values ^= values >> np.uint64(27)
    values *= np.uint64(0x94D049BB133111EB)
    values ^= values >> np.uint64(31)
    return values


@functools.cache
def hash_tables() -> tuple[Hashes, Hashes, Hashes]:
    """Returns three tables, with which words are hashed: a random number for each byte value, the powers of an odd
    number, and the powers of the inverse of this number. All arithmetic is modulo 2^64."""
    byte_value = mix(np.arange(1, 257, dtype=np.uint64) * np.uint64(_TOKEN_SEED))
    base = 0xD6E8FEB86659FD93
    up = np.full(_BLOCK_BYTES + 1, base, np.uint64)
    down = np.full(_BLOCK_BYTES + 1, pow(base, -1, 1 << 64), np.uint64)
    up[0] = down[0] = 1
    return byte_value, np.multiply.accumulate(up), np.multiply.accumulate(down)


def word_hashes(words: bytes) -> tuple[Hashes, npt.NDArray[np.int64]]:
    """Returns the 64-bit hashes of the words, in order, and the byte offsets at which the words begin.

    A word longer than a block (256 kB) counts as several words. The byte 0xff separates words, like a space.
    """
    byte_value, up, down = hash_tables()
    found: list[Hashes] = []
    places: list[npt.NDArray[np.int64]] = []
    start = 0
    while start < len(words):
        end = min(start + _BLOCK_BYTES, len(words))
        if end < len(words) and (space := words.rfind(b" ", start, end)) > start:
            end = space
        block = np.frombuffer(words, np.uint8, end - start, start)
        # The hash of a word is the sum of value[byte] * base^(place in the word): a difference of two running sums.
        running = np.empty(block.size + 1, np.uint64)
        running[0] = 0
        values = byte_value.take(block, mode="clip")
        values *= up[: block.size]
        np.cumsum(values, out=running[1:])
        inside = np.zeros(block.size + 2, np.bool_)
        inside[1:-1] = _IS_IN_WORD[block]
        edges = np.flatnonzero(inside[1:] != inside[:-1])
        first, last = edges[::2], edges[1::2]
        found.append(mix((running[last] - running[first]) * down[first]))
        places.append(first + start)
        start = end
    if not found:
        return np.empty(0, np.uint64), np.empty(0, np.int64)
    return np.concatenate(found), np.concatenate(places)


def ngram_hashes(words: Hashes, width: int) -> Hashes:
    """Returns one 64-bit hash for each run of ``width`` words. ``words`` contains the hashes of the words."""
    num_ngrams = words.size - width + 1
    multiplier = np.uint64(0xFF51AFD7ED558CCD)
    grams = words[:num_ngrams].copy()
    for offset in range(1, width):
        grams *= multiplier
        grams += words[offset : offset + num_ngrams]
    return mix(grams)


def distinct(hashes: Hashes) -> Hashes:
    """Sorts hashes in place, and returns them without repetitions."""
    hashes.sort()
    is_first = np.empty(hashes.size, np.bool_)
    is_first[:1] = True
    np.not_equal(hashes[1:], hashes[:-1], out=is_first[1:])
    return hashes[is_first]


def shingles(text: str, *, ngram_words: int = NGRAM_WORDS) -> Hashes:
    """Returns the set of a text's word n-grams as sorted distinct 64-bit hashes.

    A text with fewer words than ``ngram_words`` has a single shingle, made of all its words. A text without words has
    no shingle. Two different n-grams have the same hash with a probability of 2^-64, which is too rare to matter.

    >>> one = shingles("It was the best of times, it was the worst of times")
    >>> two = shingles("IT was _the_ best of times -- it was the WORST of times!")
    >>> len(one), bool((one == two).all())
    (8, True)
    """
    if ngram_words < 1:
        raise ValueError(f"ngram_words must be at least 1, not {ngram_words}")
    words, _ = word_hashes(normalise(text))
    if not words.size:
        return words
    return distinct(ngram_hashes(words, min(ngram_words, words.size)))


def sketch(hashes: Hashes, *, keep_one_in: int = KEEP_ONE_IN) -> Hashes:
    """Returns a sample of a book's shingles: all hashes below 2^64 / ``keep_one_in``. Books are compared by their
    samples.

    Whether a sample contains a shingle depends only on the shingle's hash. So if two books share a shingle, either both
    samples contain it or neither does. Shingles are sampled at the same rate whether the books share them or not, and
    at the same rate in short and long books. So the sample of a short book can be compared with the sample of a long
    omnibus that contains the book.

    >>> sample = sketch(shingles(" ".join(map(str, range(10_000)))), keep_one_in=10)
    >>> 900 < len(sample) < 1100
    True
    """
    if keep_one_in < 1:
        raise ValueError(f"keep_one_in must be at least 1, not {keep_one_in}")
    limit = np.uint64(((1 << 64) - 1) // keep_one_in)
    return hashes[: int(np.searchsorted(hashes, limit, side="right"))]


def overlap(a: Hashes, b: Hashes) -> float:
    """Returns the share of the smaller set of shingles that is also in the larger set: the number of common shingles,
    divided by the size of the smaller set.

    Both sets must be sorted and distinct, as :func:`shingles` returns them. The overlap with an empty set is 0.

    >>> overlap(np.array([1, 2, 3, 4], np.uint64), np.array([2, 3, 4, 5, 6, 7], np.uint64))
    0.75
    """
    small, large = (a, b) if a.size <= b.size else (b, a)
    if not small.size:
        return 0.0
    place = np.searchsorted(large, small)
    place[place == large.size] = 0
    return int(np.count_nonzero(large[place] == small)) / int(small.size)
