"""Tests inputs: files are listed once and in one order, a share of them is chosen by name, and a fingerprint identifies
them.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.settings.inputs import Listing, list_inputs


def put(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}")
        os.utime(path, (1_600_000_000, 1_600_000_000))
    return root


def listed(root: Path, *globs: str, **more: object) -> list[str]:
    listing = list_inputs("books", [str(root / g) for g in globs], **more)  # type: ignore[arg-type]
    assert all(f.num_bytes == os.path.getsize(f.path) for f in listing.files)
    assert listing.num_bytes == sum(f.num_bytes for f in listing.files)
    return [os.path.relpath(f.path, root) for f in listing.files]


def test_globs_folders_and_files(tmp_path: Path) -> None:
    put(tmp_path, "b.txt", "a.txt", "sub/c.txt", "sub/deep/d.txt", "e.zip")
    assert listed(tmp_path, "*.txt") == ["a.txt", "b.txt"]
    assert listed(tmp_path, "b.txt") == ["b.txt"]
    assert listed(tmp_path, "sub") == ["sub/c.txt", "sub/deep/d.txt"]
    assert listed(tmp_path, "sub/") == ["sub/c.txt", "sub/deep/d.txt"]
    assert listed(tmp_path, "**.txt") == ["a.txt", "b.txt", "sub/c.txt", "sub/deep/d.txt"]
    assert listed(tmp_path, "*/c.txt", "e.zip") == ["e.zip", "sub/c.txt"]


def test_folders_that_are_matched_or_linked_are_read(tmp_path: Path) -> None:
    put(tmp_path, "in/a.txt", "in/sub/b.txt", "far/c.txt", "far/deep/d.txt")
    (tmp_path / "in/linked").symlink_to(tmp_path / "far")
    (tmp_path / "far/deep/back").symlink_to(tmp_path / "far")  # a loop
    (tmp_path / "in/gone").symlink_to(tmp_path / "nothing")
    found = ["in/a.txt", "in/linked/c.txt", "in/linked/deep/d.txt", "in/sub/b.txt"]
    assert listed(tmp_path, "in") == listed(tmp_path, "in/*") == listed(tmp_path, "in/**") == found


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/bad\xff.txt", "wb"):
        pass
    with pytest.raises(ValueError, match=r"books: the name of the file .*bad.* is not UTF-8; rename it"):
        listed(tmp_path, "*")


def test_a_folder_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read every folder. So this test simulates the refusal."""
    put(tmp_path, "in/a.txt", "in/closed/b.txt")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    for glob in ("in", "in/**", "in/closed"):
        with pytest.raises(ValueError, match=r"books: the folder '.*/in/closed' cannot be listed: Permission denied$"):
            listed(tmp_path, glob)


def test_names_that_hold_wildcards_are_taken_as_they_stand(tmp_path: Path) -> None:
    put(tmp_path, "x[1].txt", "x1.txt", "f[a]/y.txt", "fa/z.txt")
    assert listed(tmp_path, "x[1].txt") == ["x[1].txt"]
    assert listed(tmp_path, "x[0-9].txt") == ["x1.txt"]
    assert listed(tmp_path, "f[a]") == ["f[a]/y.txt"]


def test_a_file_that_several_globs_match_is_listed_once(tmp_path: Path) -> None:
    put(tmp_path, "a.txt", "b.txt")
    (tmp_path / "again.txt").symlink_to(tmp_path / "a.txt")
    (tmp_path / "folder").symlink_to(tmp_path)
    once = listed(tmp_path, "*.txt")
    assert once == ["a.txt", "b.txt"]
    for globs in (
        ("*.txt", "*.txt"),
        ("a.txt", "*.txt", "b*"),
        (".", "*.txt"),
        ("folder/*.txt", f"../{tmp_path.name}/a.txt", "*.txt"),
    ):
        assert listed(tmp_path, *globs) == once
    listings = [
        list_inputs("books", [str(tmp_path / g) for g in globs]) for globs in (("*.txt",), ("b*", "a.txt", "*.txt"))
    ]
    assert listings[0] == listings[1], "with the same fingerprint"


def test_a_linked_file_keeps_the_name_by_which_it_was_found(tmp_path: Path) -> None:
    """A name says what a file contains: its dump, its language, its site. Stores of downloads keep the files themselves
    under other names, and link to them."""
    put(tmp_path, "store/8f1c", "store/site/Posts.xml", "store/0a.warc.wet.gz")
    crawl, wiki, sites = (tmp_path / name for name in ("crawl/CC-MAIN-2023-14", "wiki", "se"))
    for folder in (crawl, wiki, sites):
        folder.mkdir(parents=True)
    (crawl / "0.warc.wet.gz").symlink_to(tmp_path / "store/0a.warc.wet.gz")
    (wiki / "dewiki-1-pages-articles.xml").symlink_to("../store/8f1c")
    (sites / "coffee.stackexchange.com").symlink_to(tmp_path / "store/site")
    for glob in ("crawl", "crawl/*", "crawl/*/*.gz", "crawl/**", "crawl/CC-MAIN-2023-14/0.warc.wet.gz"):
        assert listed(tmp_path, glob) == ["crawl/CC-MAIN-2023-14/0.warc.wet.gz"], glob
    assert listed(tmp_path, "wiki") == ["wiki/dewiki-1-pages-articles.xml"]
    for glob in ("se", "se/*", "se/*/Posts.xml"):
        assert listed(tmp_path, glob) == ["se/coffee.stackexchange.com/Posts.xml"], glob
    (crawl / "again.warc.wet.gz").symlink_to(crawl / "0.warc.wet.gz")
    assert listed(tmp_path, "crawl") == ["crawl/CC-MAIN-2023-14/0.warc.wet.gz"], "the shorter of two links"
    assert listed(tmp_path, "crawl", "store") == ["store/0a.warc.wet.gz", "store/8f1c", "store/site/Posts.xml"]
    assert listed(tmp_path, "crawl", output=str(tmp_path / "elsewhere")) == ["crawl/CC-MAIN-2023-14/0.warc.wet.gz"]


def test_a_linked_file_below_the_output_is_no_input(tmp_path: Path) -> None:
    put(tmp_path, "in/a.txt", "out/clean/b.txt")
    (tmp_path / "in/b.txt").symlink_to(tmp_path / "out/clean/b.txt")
    assert listed(tmp_path, "in", output=str(tmp_path / "out")) == ["in/a.txt"]


def test_files_of_a_list_keep_the_names_in_the_list(tmp_path: Path) -> None:
    put(tmp_path, "store/x")
    (tmp_path / "link.wet").symlink_to(tmp_path / "store/x")
    found = list_inputs("web", ["list"], expand=lambda given: [str(tmp_path / "link.wet")])
    assert [file.path for file in found.files] == [str(tmp_path / "link.wet")]


def test_from_the_home_folder_and_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a.txt")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert [list_inputs("books", [g]).files[0].path for g in ("a.txt", "./*.txt", "~/a.txt")] == [
        f"{tmp_path}/a.txt"
    ] * 3


@pytest.mark.parametrize("glob", ["*.pdf", "none.txt", "none/*.txt", "empty", "empty/**"])
def test_a_glob_that_matches_nothing_names_the_source_and_itself(tmp_path: Path, glob: str) -> None:
    put(tmp_path, "a.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"^books: nothing matches '.*" + glob.replace("*", r"[*]")):
        list_inputs("books", [str(tmp_path / "a.txt"), str(tmp_path / glob)])


def test_a_store_that_is_not_known_is_told() -> None:
    with pytest.raises(ValueError, match="books: cannot read 'nostore://bucket/x'"):
        list_inputs("books", ["nostore://bucket/x"])


def test_what_a_run_wrote_itself_is_no_input(tmp_path: Path) -> None:
    put(tmp_path, "a.txt", "out/clean/books/part.parquet", "out/.work/sample/books/s.txt", "outside.txt")
    output = str(tmp_path / "out")
    assert listed(tmp_path, ".", output=output) == ["a.txt", "outside.txt"]
    assert listed(tmp_path, "**", output=output) == ["a.txt", "outside.txt"]
    assert listed(tmp_path, "out/.work/sample/books", output=output) == ["out/.work/sample/books/s.txt"], (
        "asked for by name"
    )
    with pytest.raises(ValueError, match="nothing matches"):
        listed(tmp_path, "*/clean/**", output=output)


def fingerprint(root: Path) -> str:
    return list_inputs("books", [str(root)]).fingerprint


def test_the_fingerprint_changes_with_the_files(tmp_path: Path) -> None:
    put(tmp_path, "a.txt", "b.txt")
    seen = [fingerprint(tmp_path)]
    assert fingerprint(tmp_path) == seen[0]
    put(tmp_path, "c.txt")
    seen.append(fingerprint(tmp_path))
    (tmp_path / "c.txt").write_text("longer than it was before, by much")
    os.utime(tmp_path / "c.txt", (1_600_000_000, 1_600_000_000))
    seen.append(fingerprint(tmp_path))
    os.utime(tmp_path / "c.txt", (1_600_000_001, 1_600_000_001))
    seen.append(fingerprint(tmp_path))
    (tmp_path / "c.txt").rename(tmp_path / "d.txt")
    seen.append(fingerprint(tmp_path))
    assert len(set(seen)) == len(seen)
    (tmp_path / "d.txt").unlink()
    assert fingerprint(tmp_path) == seen[0]


def names(listing: Listing) -> set[str]:
    return {os.path.basename(f.path) for f in listing.files}


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 40), st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_share_of_the_files(tmp_path_factory: pytest.TempPathFactory, number: int, one: float, two: float) -> None:
    folder = put(tmp_path_factory.mktemp("in"), *(f"f{n}.txt" for n in range(number)))
    small, large = sorted((one, two))
    found = {share: names(list_inputs("books", [str(folder)], fraction=share)) for share in (small, large, 1.0)}
    for share, chosen in found.items():
        assert len(chosen) == max(1, round(number * share))
    assert found[small] <= found[large] <= found[1.0], "a larger share holds the smaller one"


def test_the_share_is_of_names_wherever_they_lie(tmp_path: Path) -> None:
    put(tmp_path / "one", *(f"f{n}.txt" for n in range(30)))
    put(tmp_path / "two" / "deep", *(f"f{n}.txt" for n in range(30)))
    one, two = (names(list_inputs("books", [str(tmp_path / f)], fraction=0.3)) for f in ("one", "two"))
    assert one == two
    assert len(one) == 9


def test_side_tables_are_kept_besides(tmp_path: Path) -> None:
    put(tmp_path, *(f"contents-{n}.json.gz" for n in range(10)), "licenses-0.json.gz")
    kept = list_inputs("github", [str(tmp_path)], fraction=0.2, always=lambda p: "licenses" in p)
    assert len(kept.files) == 3
    assert "licenses-0.json.gz" in names(kept)


def test_names_that_are_no_files_are_reported(tmp_path: Path) -> None:
    """A broken link or a pipe may match a glob or be in a folder. Opening a pipe would wait forever."""
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("x")
    (folder / "gone.txt").symlink_to(tmp_path / "nowhere.txt")
    (folder / "deep" / "loop.txt").symlink_to(folder / "deep" / "loop.txt")
    os.mkfifo(folder / "pipe.txt")
    for glob in (str(folder), f"{folder}/**"):
        listing = list_inputs("books", [glob])
        assert [Path(file.path).name for file in listing.files] == ["a.txt"]
        assert [Path(path).name for path in listing.not_files] == ["loop.txt", "gone.txt", "pipe.txt"]
    with pytest.raises(ValueError, match="matches no file but"):
        list_inputs("books", [f"{folder}/p*.txt"])


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85", "\n", "\r", "\t", "'", "\u202e", "\x1c"])
def test_a_name_with_any_sign_is_listed(tmp_path: Path, sign: str) -> None:
    (tmp_path / f"a{sign}b.txt").write_text("x")
    (listed,) = list_inputs("books", [str(tmp_path)]).files
    assert Path(listed.path).name == f"a{sign}b.txt"


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("x")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may read everything
    with pytest.raises(ValueError, match="1 files may not be read by this user, the first is"):
        list_inputs("books", [str(tmp_path)])
