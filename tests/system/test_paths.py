"""Names of files and paths that other libraries take literally."""

import os
import tempfile

import pytest

from jaxvsnerf.errors import InputError, StorageError
from jaxvsnerf.system.files import text_cell
from jaxvsnerf.system.paths import check_unicode, file_name, file_url
from jaxvsnerf.system.plain_path import plain_path


def test_a_long_name_is_cut_and_stays_different_from_its_neighbours():
    assert file_name("input_a", ".png") == "input_a.png"
    long = "n" * 300
    names = {file_name(f"{long}{end}", ".png") for end in ("", "a", "b")}
    assert len(names) == 3 and {len(name) for name in names} == {255}
    assert file_name(long, ".png") == file_name(long, ".png")
    # Bytes count, and no character is cut in two.
    wide = file_name("é" * 200, ".png")
    assert 250 <= len(wide.encode()) <= 255 and wide.startswith("é" * 100)
    folder, name = file_name(f"{long}/{long}", ".png").split("/")
    assert len(folder) == 255 and name.endswith(".png")


def test_names_that_are_not_utf_8_are_refused():
    for name in ("plain", "äö", "写真", "a b"):
        check_unicode(name, "--workdir")
    with pytest.raises(InputError, match=r"--workdir: expected a name in UTF-8, got 'caf\\udce9'"):
        check_unicode(os.fsdecode(b"caf\xe9"), "--workdir")


@pytest.mark.parametrize("name", ["v[1]", "a*b", "a?b", "a\\b", "plain"])
def test_a_plain_path_leads_to_the_folder_and_goes_away(name, tmp_path):
    folder = tmp_path / name
    with plain_path(folder) as path:
        assert not set("*?[]\\") & set(str(path))
        path.mkdir(exist_ok=True)
        (path / "file").touch()
        assert (path == folder) == (name == "plain")
    assert [one.name for one in folder.iterdir()] == ["file"]
    assert name == "plain" or not path.parent.exists()


def test_without_any_plain_path_the_folder_is_refused(tmp_path, monkeypatch):
    (tmp_path / "t[m]p").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "t[m]p"))
    with pytest.raises(StorageError, match=r"expected a folder without any of .* got .*v\[1\]"):
        with plain_path(tmp_path / "v[1]"):
            pass


def test_ffmpeg_takes_every_path_for_a_file(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert file_url(tmp_path.__class__("-y")) == f"file:{tmp_path}/-y"


def test_a_cell_of_a_table_is_no_formula():
    cells = {"=a": "'=a", " -a": "' -a", "a=": "a=", "a\r\n=b": "a =b"}
    assert {text: text_cell(text) for text in cells} == cells
