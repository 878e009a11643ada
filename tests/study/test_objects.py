"""Which objects a folder holds."""

import pytest

from jaxvsnerf.study.objects import LAYOUTS, StudyObject, find_objects


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_every_layout_is_found_and_sorted_by_name(tmp_path):
    touch(
        tmp_path,
        "view10.JPG",
        "view2.webp",
        "strip/strip.jpeg",
        "strip/gt/0.png",
        "strip/mesh.obj",
        "inputs/inputs/0.png",
        "inputs/truth.png",
        "images/images/0.png",
        "posed/transforms.json",
        "posed/images/0.png",
        "blender/transforms_train.json",
        "known/gt/0.png",
        "sheet/truth.png",
        "notes/readme.txt",
        "readme.txt",
        ".hidden.png",
        ".cache/strip.png",
    )
    found, others = find_objects([tmp_path])
    here = str(tmp_path)
    assert found == [
        StudyObject("blender", "transforms", f"{here}/blender"),
        StudyObject("images", "folder", f"{here}/images/images"),
        StudyObject("inputs", "folder", f"{here}/inputs/inputs", f"{here}/inputs/truth.png"),
        StudyObject("known", "folder", f"{here}/known/gt", f"{here}/known/gt"),
        StudyObject("posed", "transforms", f"{here}/posed"),
        StudyObject("sheet", "strip", f"{here}/sheet/truth.png", f"{here}/sheet/truth.png"),
        StudyObject(
            "strip",
            "strip",
            f"{here}/strip/strip.jpeg",
            f"{here}/strip/gt",
            f"{here}/strip/mesh.obj",
        ),
        StudyObject("view2", "strip", f"{here}/view2.webp"),
        StudyObject("view10", "strip", f"{here}/view10.JPG"),
    ]
    assert others == [tmp_path / "notes"]


def test_truth_alone_is_the_input_too_and_says_so(tmp_path):
    touch(tmp_path, "known/gt/0.png", "given/inputs/0.png", "given/gt/0.png")
    given, known = find_objects([tmp_path])[0]
    assert (given.inputs, known.inputs) == ("given", "truth")
    assert known.data == {"kind": "folder", "path": known.path, "truth": known.path, "mesh": ""}


def test_several_folders_are_one_study_and_names_must_differ(tmp_path):
    touch(tmp_path, "a/one.png", "b/two.png", "c/one/strip.png")
    found, _ = find_objects([tmp_path / "b", tmp_path / "a"])
    assert [one.name for one in found] == ["two", "one"]
    with pytest.raises(ValueError, match=r"two called 'one'.*a/one.png.*c/one/strip.png"):
        find_objects([tmp_path / "a", tmp_path / "c"])


def test_one_folder_may_hold_two_objects_of_one_name_only_if_told_apart(tmp_path):
    touch(tmp_path, "one.png", "one.jpg")
    with pytest.raises(ValueError, match="two called 'one'"):
        find_objects([tmp_path])


@pytest.mark.parametrize("name", ["study.json/strip.png", "index.html.png", "RESULTS.csv/gt/0.png"])
def test_an_object_may_not_be_called_as_a_file_of_the_study(name, tmp_path):
    touch(tmp_path, name)
    with pytest.raises(ValueError, match="other names than the files that a study writes.*rename"):
        find_objects([tmp_path])


def test_an_empty_or_missing_folder_says_what_is_expected_in_one_line(tmp_path):
    (tmp_path / "nothing" / "in").mkdir(parents=True)
    for folder, error in (("nothing", ValueError), ("absent", FileNotFoundError)):
        with pytest.raises(error) as raised:
            find_objects([tmp_path / folder])
        assert LAYOUTS in str(raised.value) and folder in str(raised.value)
        assert "\n" not in str(raised.value)


def test_the_experiments_data_has_the_layouts_it_should(data_folder):
    found, others = find_objects([data_folder / "gso"])
    assert not others and all(one.inputs == "truth" and one.mesh for one in found)
    chicken = find_objects([data_folder / "syncdreamer"])[0][0]
    assert (chicken.name, chicken.kind, chicken.inputs) == ("chicken", "strip", "given")
    assert chicken.truth.endswith("gt") and chicken.mesh
