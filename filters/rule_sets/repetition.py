"""Counts the characters in repeated runs of words.

A run of n words can be repeated only if two shorter runs are repeated: its first n - 1 words and its last n - 1 words.
So a repeated run of n words is searched for only where repeated runs of n - 1 words begin at a word and at the next
word. Equal runs have equal numbers. Two runs are equal only if their two shorter runs (for n = 2, their two words) have
the same numbers. So different runs with equal hashes are never mixed up.
"""

from __future__ import annotations

import numpy as np

from filters.compiled import kernel
from filters.rule_sets.texts import Codes, Ints
from filters.rule_sets.words import Words

TOP_LENGTHS = (2, 3, 4)
REPEATED_LENGTHS = (5, 6, 7, 8, 9, 10)
_LAST_TOP, _LONGEST = 4, 10
_LOW, _LOW_FACTORS, _HIGH_FACTORS = (1 << 31) - 1, (0x9E3779B1, 0xC2B2AE3D), (0x85EBCA6B, 0x27D4EB2F)
"""The constants of :func:`hash_of`. They are small enough that all of its products have at most 63 bits."""
_PROBES = 16
"""The search for equal runs stops using the hash table if it has looked at more than this many slots per run. Usually,
it looks at about two."""


def chars_in_runs(words: Words) -> Ints:
    """Returns one row per document with nine numbers of characters, one for each length of a run from 2 to 10 words.
    For 2, 3 and 4 words, it is the number of characters in all copies of the most frequent run. For 5 to 10 words, it
    is the number of characters in runs that occurred before in the document.

    For the most frequent run, the spaces between its words count. If several runs are equally frequent, the first one
    is taken (datatrove ``find_top_duplicate``). For runs of 5 to 10 words, spaces do not count. After a repeated run,
    reading continues at the word after the run, so no character counts twice (``find_all_duplicate``). If a document
    has too few words for a run, the number is 0.

    >>> from filters.rule_sets.words import words_of
    >>> import pyarrow as pa
    >>> chars_in_runs(words_of(pa.array(["a b c d e a b c d e", "a"]))).tolist()
    [[6, 10, 14, 5, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0, 0]]
    """
    found = np.zeros((len(words.starts), _LONGEST - 1), np.int64)
    longest = int((words.ends - words.starts).max(initial=0))
    num_slots = 4
    while num_slots < 2 * longest:
        num_slots *= 2
    measure_runs(words.ids, words.starts, words.ends, words.bounds, np.empty(num_slots, np.int32), found)
    return found


@kernel
def measure_runs(ids: Codes, starts: Ints, ends: Ints, bounds: Ints, slots: Codes, found: Ints) -> None:
    """Writes the row of each document into ``found`` (see :func:`chars_in_runs`). ``bounds`` gives the length of each
    distinct word: word number ``i`` has ``bounds[i + 1] - bounds[i]`` characters.

    ``slots`` is scratch space. Its length must be a power of two, and at least twice the number of words of the longest
    document.
    """
    longest = 0
    for document in range(len(starts)):
        longest = max(longest, ends[document] - starts[document])
    chars = np.zeros(longest + 1, np.int64)
    places = np.empty(longest, np.int64)
    groups, new_groups = np.empty(longest + 1, np.int64), np.empty(longest + 1, np.int64)
    keys, counts, firsts = np.empty(longest, np.int64), np.empty(longest, np.int64), np.empty(longest, np.int64)
    for document in range(len(starts)):
        start = starts[document]
        num_words = ends[document] - start
        for at in range(num_words):
            word = ids[start + at]
            groups[at] = word
            chars[at + 1] = chars[at] + bounds[word + 1] - bounds[word]
            places[at] = at
        count = num_words - 1
        for length in range(2, _LONGEST + 1):
            if num_words < length:
                break
            num_groups = group_runs(places[:count], groups, slots, keys, counts, firsts, new_groups)
            if num_groups < 0:
                num_groups = sort_runs(places[:count], groups, counts, firsts, new_groups)
            if length <= _LAST_TOP:
                found[document, length - 2] = top_chars(chars, counts[:num_groups], firsts, length)
            count = keep_repeated(places[:count], counts, new_groups)
            if length > _LAST_TOP:
                found[document, length - 2] = repeated_chars(places[:count], new_groups, firsts, chars, length)
            count = keep_followed(places[:count])
            groups, new_groups = new_groups, groups


@kernel
def group_runs(
    places: Ints, groups: Ints, slots: Codes, keys: Ints, counts: Ints, firsts: Ints, new_groups: Ints
) -> int:
    """Numbers the runs of words that begin at ``places``. Equal runs get equal numbers, in the order of their first
    occurrence. Writes the number of each run into ``new_groups``. Returns how many different runs there are, or -1 if
    the hash table needs too many steps. This happens only if a malicious text contains many runs with equal hashes.

    A run of n words begins with a run of n - 1 words, and ends with another one. The numbers of these two runs are in
    ``groups``, and together they are the key of the run of n words.
    """
    size = 4
    while size < 2 * len(places):
        size *= 2
    slots[:size] = 0
    num_groups, probes = 0, 0
    for place in places:
        key = int(groups[place]) << 32 | int(groups[place + 1])
        slot = hash_of(key) & (size - 1)
        while slots[slot] > 0 and keys[slots[slot] - 1] != key:
            slot = (slot + 1) & (size - 1)
            probes += 1
            if probes > _PROBES * (len(places) + 4):
                return -1
        if slots[slot] == 0:
            keys[num_groups], counts[num_groups], firsts[num_groups] = key, 0, place
            num_groups += 1
            slots[slot] = num_groups
        group = slots[slot] - 1
        counts[group] += 1
        new_groups[place] = group
    return num_groups


@kernel
def hash_of(key: int) -> int:
    """Returns a hash of the key. Every bit of the hash depends on all bits of the key."""
    value = (key & _LOW) * _LOW_FACTORS[0] ^ (key >> 32) * _HIGH_FACTORS[0]
    value ^= value >> 32
    value = (value & _LOW) * _LOW_FACTORS[1] ^ (value >> 31) * _HIGH_FACTORS[1]
    return value ^ value >> 29


@kernel
def sort_runs(places: Ints, groups: Ints, counts: Ints, firsts: Ints, new_groups: Ints) -> int:
    """Does the same as ``group_runs``, but sorts the keys instead of using a hash table. It is slower for normal texts,
    but not quadratic for any text."""
    keys, leaders = np.empty(len(places), np.int64), np.empty(len(places), np.int64)
    for index in range(len(places)):
        keys[index] = int(groups[places[index]]) << 32 | int(groups[places[index] + 1])
    order = np.argsort(keys, kind="mergesort")
    leader = 0
    for at in range(len(order)):
        if at == 0 or keys[order[at]] != keys[order[at - 1]]:
            leader = order[at]
        leaders[order[at]] = leader
    num_groups = 0
    for index in range(len(places)):
        place, group = places[index], num_groups
        if leaders[index] == index:
            counts[group], firsts[group] = 0, place
            num_groups += 1
        else:
            group = new_groups[places[leaders[index]]]
        counts[group] += 1
        new_groups[place] = group
    return num_groups


@kernel
def top_chars(chars: Ints, counts: Ints, firsts: Ints, length: int) -> int:
    """Returns the number of characters in all copies of the most frequent run of ``length`` words. The spaces between
    the words of a run are counted."""
    best, place = 1, 0
    for group in range(len(counts)):
        if counts[group] > best:
            best, place = counts[group], firsts[group]
    return int(chars[place + length] - chars[place] + length - 1) * best


@kernel
def keep_repeated(places: Ints, counts: Ints, groups: Ints) -> int:
    """Keeps only the places where a repeated run begins. Moves these places to the front of ``places``, and returns how
    many there are."""
    kept = 0
    for place in places:
        if counts[groups[place]] > 1:
            places[kept] = place
            kept += 1
    return kept


@kernel
def keep_followed(places: Ints) -> int:
    """``places`` has the numbers of the words at which repeated runs of n words begin. Keeps only those at which a run
    of n + 1 words can be repeated: the next word must also begin a repeated run of n words. Moves the kept numbers to
    the front of ``places``, and returns how many there are."""
    kept = 0
    for index in range(len(places) - 1):
        if places[index + 1] == places[index] + 1:
            places[kept] = places[index]
            kept += 1
    return kept


@kernel
def repeated_chars(places: Ints, groups: Ints, seen: Ints, chars: Ints, length: int) -> int:
    """Returns the number of characters in the runs of ``length`` words that occurred before in the document. ``places``
    has the places where repeated runs begin. ``seen`` is scratch space."""
    found, behind = 0, 0
    for place in places:
        seen[groups[place]] = 0
    for place in places:
        if place < behind:
            continue
        if seen[groups[place]]:
            found += chars[place + length] - chars[place]
            behind = place + length
        else:
            seen[groups[place]] = 1
    return found
