"""The paper's table: studies read, means by hand, what is refused."""

import csv
import io
import json

import pytest

from experiments.gso.prepare import GIVEN, MARK, SIMULATED
from experiments.gso.studies import AS_GIVEN, THE_TRUTH, read_study
from experiments.gso.table import as_csv, markdown, notes, table_rows
from jaxvsnerf.study.results import write_results_csv


def record(name, psnr=None, given=None, train=60.0, status="ok", inputs="given", **scores):
    """What a study keeps of an object, by hand."""
    values = {"psnr": psnr, "ssim": 0.5, **scores} if psnr else scores
    return {
        "name": name,
        "status": status,
        "error": "" if status == "ok" else "broken, so it is",
        "inputs": inputs,
        "views": 16,
        "total": 500.0,
        "seconds": {"load": 30.0, "train": train, "export": 400.0},
        "scores": values,
        "input_scores": {"psnr": given} if given else {},
    }


def study(folder, records, origins, lpips=""):
    """A study's folder; `origins`: object -> what its prepared.json says, or None."""
    pictures = folder.parent / "pictures"
    items = {}
    for name, mark in origins.items():
        (pictures / name).mkdir(parents=True, exist_ok=True)
        path = str(pictures / name / "strip.png")
        if mark:
            (pictures / name / MARK).write_text(json.dumps(mark))
        truth = path if mark is None else ""
        items[name] = {"name": name, "kind": "strip", "path": path, "truth": truth, "mesh": ""}
    settings = {"config": {"metrics": {"lpips": lpips}}, "objects": items}
    folder.mkdir(parents=True)
    (folder / "study.json").write_text(json.dumps(settings))
    write_results_csv(folder / "results.csv", records)
    return folder


SIMULATED_MARK = {"views": SIMULATED, "severity": "mild", "seed": 4}
GIVEN_MARK = {"views": GIVEN}
ORIGINS = {"a": SIMULATED_MARK, "b": SIMULATED_MARK, "c": GIVEN_MARK, "d": None, "e": GIVEN_MARK}


@pytest.fixture
def measured(tmp_path):
    records = [
        record("a", 20.0, 19.0, train=60.0, chamfer=0.02, iou=0.5),
        record("b", 23.0, 20.0, train=120.0, lpips=0.25),
        record("c", 30.0, 28.0),
        record("d", 40.0, inputs="truth"),
        record("e", status="failed"),
    ]
    return study(tmp_path / "default", records, ORIGINS, "elsewhere/mine.npz")


def test_means_by_hand_and_origins_are_never_mixed(measured):
    generated, given, simulated_inputs, simulated, truth = table_rows([read_study(measured)])[:5]
    assert (simulated.name, simulated.origin) == ("default", "simulated (mild, seed 4)")
    assert simulated.means == {
        "psnr": (21.5, 2),
        "ssim": (0.5, 2),
        "lpips": (0.25, 1),
        "chamfer": (0.02, 1),
        "iou": (0.5, 1),
        "minutes": (2.0, 2),  # (30 + 60) s and (30 + 120) s
    }
    assert simulated_inputs.means == {"psnr": (19.5, 2)}
    assert (generated.name, generated.means) == ("input views", {"psnr": (28.0, 1)})
    assert (given.origin, given.means["psnr"]) == (AS_GIVEN, (30.0, 1))
    assert (truth.origin, truth.means["psnr"]) == (THE_TRUTH, (40.0, 1))
    assert list(notes([read_study(measured)])) == [
        "default: 1 of 5 objects failed and are in no mean: e."
    ]


def test_the_table_has_dashes_counts_and_marks_what_is_reported(measured):
    lines = markdown(table_rows([read_study(measured)]), ["A remark."]).splitlines()
    (row,) = [line for line in lines if "| default | measured | simulated (mild, seed 4) " in line]
    assert row.endswith(
        "| 16 | 2 | 21.50 | 0.500 | 0.250 (1) | 0.0200 (1) | 0.5000 (1) | 2 | of mine.npz |"
    )
    expected = "| default | measured | generated | 16 | 1 | 30.00 | 0.500 | - | - | - | 1.5 | - |"
    assert expected in lines
    reported = [line for line in lines if "| reported |" in line]
    assert len(reported) == 3 and not any("measured" in line for line in reported)
    assert "| generated | - | 1,030 | 20.32 | 0.798 | 0.153 | - | - | 7 | - |" in reported[0]
    assert "| 1,030 | 20.02 | 0.783 | 0.159 | - | - | 6 | - |" in reported[1]
    assert "| generated | 16 | 30 | 20.05 | 0.798 | 0.146 | - | - | - | VGG16 |" in reported[2]
    assert lines[-1] == "A remark." and " nan" not in "".join(lines)


def test_the_csv_holds_the_same(measured):
    rows = list(csv.DictReader(io.StringIO(as_csv(table_rows([read_study(measured)])))))
    simulated = rows[3]
    assert (simulated["psnr"], simulated["psnr_objects"]) == ("21.5", "2")
    assert (simulated["chamfer"], simulated["chamfer_objects"]) == ("0.02", "1")
    assert rows[1]["lpips"] == rows[1]["lpips_objects"] == rows[1]["lpips_network"] == ""
    assert [row["source"] for row in rows[-3:]] == ["reported"] * 3


def test_several_studies_share_the_inputs_row_where_it_is_the_same(measured, tmp_path):
    origins = {"c": GIVEN_MARK}
    same = study(tmp_path / "same" / "stage1", [record("c", 29.0, 28.0)], origins)
    other = study(tmp_path / "four" / "four", [record("c", 27.0, 25.0)], origins)
    base = study(tmp_path / "base" / "base", [record("c", 31.0, 28.0)], origins)
    studies = [read_study(folder) for folder in (base, same)]
    assert [row.name for row in table_rows(studies)[:3]] == ["input views", "base", "stage1"]
    rows = table_rows([read_study(base), read_study(other)])
    assert [row.name for row in rows[:2]] == ["input views of base", "input views of four"]
    assert not list(notes(studies))
    assert "over different objects" in list(notes([read_study(measured), studies[0]]))[-1]


def test_an_unfinished_study_says_so(tmp_path):
    folder = study(tmp_path / "early", [record("a", 20.0)], ORIGINS)
    assert list(notes([read_study(folder)])) == ["early: 4 of 5 objects have not ended."]
    folder = study(tmp_path / "none" / "none", [record("e", status="failed")], ORIGINS)
    with pytest.raises(ValueError, match="there is none"):
        table_rows([read_study(folder)])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda text: text[:-20], "is truncated or damaged"),
        (lambda text: text[:-1], "is truncated or damaged"),
        (lambda text: text.replace("\nb,ok,", "\nb,"), "is truncated or damaged"),
        (lambda text: "x,y\n1,2\n", "there is no column 'name'"),
        (lambda text: "", "there is no column 'name'"),
        (lambda text: text.replace(",23,", ",nan,"), "b: expected a number in column psnr"),
        (lambda text: text.replace(",23,", ",many,"), "got 'many'"),
        (lambda text: text.replace("\nb,ok,", "\na,ok,"), "expected every object once"),
        (
            lambda text: text.replace("\nb,ok,", "\nz,ok,"),
            "expected objects of .*study.json, got z",
        ),
        (lambda text: text.replace("\nb,ok,", "\nb,fine,"), "expected status ok or failed"),
    ],
)
def test_results_that_are_no_studys_are_refused_in_one_line(measured, change, expected):
    path = measured / "results.csv"
    path.write_text(change(path.read_text()))
    with pytest.raises(ValueError, match=expected) as raised:
        read_study(measured)
    assert "\n" not in str(raised.value)


def test_missing_folders_and_foreign_settings_are_refused(measured, tmp_path):
    with pytest.raises(FileNotFoundError, match="expected the folder of a study"):
        read_study(tmp_path / "nothing")
    (tmp_path / "pictures").rename(tmp_path / "moved")
    with pytest.raises(FileNotFoundError, match=r"simulated.*--objects"):
        read_study(measured)
    moved = read_study(measured, tmp_path / "moved")
    assert [one.origin for one in moved.objects][:2] == ["simulated (mild, seed 4)"] * 2
    (tmp_path / "moved" / "a" / MARK).write_text("{}")
    with pytest.raises(ValueError, match="expected what this experiment writes"):
        read_study(measured, tmp_path / "moved")
    for text in ("[]", "{", '{"objects": {"a": 1}}', '{"objects": {}, "config": {}}'):
        (measured / "study.json").write_text(text)
        with pytest.raises(ValueError, match="expected the settings of a study"):
            read_study(measured)


def test_the_network_of_lpips_is_read_from_its_weights(tmp_path, data_folder):
    weights = str(data_folder / "lpips" / "squeeze_v0.1.npz")
    folder = study(tmp_path / "squeeze", [record("c", 20.0, lpips=0.1)], ORIGINS, weights)
    assert table_rows([read_study(folder)])[0].network == "SqueezeNet"
