"""Files that came in place of the file that was meant: Git LFS pointers, web pages."""

from __future__ import annotations

from pathlib import Path

from jaxvsnerf.errors import InputError

HEAD_BYTES = 512
# How a file begins, in lower case and without white space in front -> what it is, and the mend.
STAND_INS = {
    b"version https://git-lfs.github.com/spec/": (
        "a Git LFS pointer, not the file itself: run `git lfs pull` in its repository"
    ),
    **dict.fromkeys(
        (b"<!doctype html", b"<html", b"<head", b"<?xml"),
        "a web page: download the file itself (a page's link to the raw file), not the page",
    ),
}


def check_is_itself(path: str | Path) -> None:
    """Refuses a file whose first bytes say that it stands for another; every reader calls this.

    Args:
      path: an existing file.

    Raises:
      InputError: says what the file is, and how to get the file that was meant.
      OSError: the file cannot be read; the error names it.
    """
    with open(path, "rb") as file:
        head = file.read(HEAD_BYTES).removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for start, what in STAND_INS.items():
        if head.startswith(start):
            raise InputError(f"{path} is {what}")
