"""Prints the skipped tests. Fails if a skipped test is not in the list of tests that may be skipped.

Usage: `python skipped.py TESTS.xml EXPECTED.txt`. TESTS.xml is the file that pytest's `--junitxml` wrote. EXPECTED.txt
is the list. Each of its lines is `NAME : REASON`. NAME is a test's name as this script prints it, and may contain `*`
as a wildcard. REASON says why the test may be skipped.
"""

import os
import sys
import xml.etree.ElementTree as ElementTree
from fnmatch import fnmatchcase
from pathlib import Path


def main(tests: Path, expected: Path) -> int:
    """Prints the skipped tests of the file ``tests``. Returns 1 if one of them is not in the list ``expected``, or if
    the file has no tests; else 0.
    """
    lines = [line for line in expected.read_text().splitlines() if line.strip() and not line.startswith("#")]
    patterns = [line.split(" : ")[0].strip() for line in lines]
    if not os.environ.get("CORPUS_DATA"):
        print("CORPUS_DATA is not set: the tests on real input are expected to be skipped")
    cases = list(ElementTree.parse(tests).iter("testcase"))
    num_skipped, wrong = 0, []
    for case in cases:
        skipped = case.find("skipped")
        if skipped is None:
            continue
        num_skipped += 1
        name = f"{case.get('classname')}::{case.get('name')}"
        reason = skipped.get("message") or ""
        print(f"skipped: {name}: {reason}")
        no_data = not os.environ.get("CORPUS_DATA") and reason.startswith("CORPUS_DATA is not set")
        if not no_data and not any(fnmatchcase(name, pattern) for pattern in patterns):
            wrong.append(name)
    print(f"{len(cases)} tests, {num_skipped} skipped, {len(wrong)} of them not expected to be")
    for name in wrong:
        print(f"not in {expected}: {name}")
    return 1 if wrong or not cases else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
