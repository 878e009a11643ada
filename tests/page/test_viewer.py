"""The page in a real browser: a model that turns, pictures under a slider, nothing fetched."""

import hashlib
import re
from importlib import resources

import numpy as np
import pytest

from jaxvsnerf.mesh.extract import Mesh
from jaxvsnerf.mesh.glb import write_glb
from jaxvsnerf.page import report as page
from jaxvsnerf.page.model_viewer import viewer_module
from jaxvsnerf.page.report import Column, Comparison, Report, render_report, write_report
from jaxvsnerf.pictures.video import write_mp4
from tests import browser

RED, GREEN, BLUE, YELLOW = (200, 40, 60), (30, 140, 60), (40, 60, 180), (220, 190, 40)
STAGE = ".stage"
LOADED = "document.querySelector('model-viewer')?.loaded"


def plain(color, side=48):
    return np.full((side, side, 3), np.array(color) / 255, np.float32)


def cube():
    """A cube from -0.5 to 0.5 with a texture: red at +x and below y = 0, else green."""
    corners = np.array(np.meshgrid(*[(-0.5, 0.5)] * 3, indexing="ij")).reshape(3, 8).T
    sides = [(4, 6, 7, 5), (0, 1, 3, 2), (2, 3, 7, 6), (0, 4, 5, 1), (1, 5, 7, 3), (0, 2, 6, 4)]
    vertices = corners[np.ravel(sides)].astype(np.float32)
    normals = np.repeat(np.vstack([s * e for e in np.eye(3) for s in (1, -1)]), 4, axis=0)
    faces = np.array([[i, i + j, i + j + 1] for i in range(0, 24, 4) for j in (1, 2)], np.int32)
    texture = np.concatenate([plain(RED, 16)[:, :8], plain(GREEN, 16)[:, 8:]], axis=1)
    uv = np.where(np.arange(24)[:, None] < 4, [0.25, 0.5], [0.75, 0.5]).astype(np.float32)
    return Mesh(vertices, faces, normals.astype(np.float32), uv=uv, texture=texture)


@pytest.fixture(scope="module")
def report_file(tmp_path_factory):
    """A page with a model and three views; the third has no input picture."""
    folder = tmp_path_factory.mktemp("page")
    write_glb(folder / "mesh.glb", cube())
    columns = [
        Column("input", [plain(BLUE), plain(BLUE), None]),
        Column("stage1", [plain(RED)] * 3, ["20.1 dB", "20.2 dB", "20.3 dB"]),
        Column("truth", [plain(GREEN), plain(YELLOW), plain(GREEN)]),
    ]
    views = Comparison("Views", ["000", "001", "002"], columns, pair=("stage1", "truth"))
    report = Report(
        title="cube",
        facts={"PSNR": "20.2 dB"},
        comparisons=[views],
        model=folder / "mesh.glb",
        files={"mesh.glb": "the mesh"},
        settings={"seed": 0, "data": {"path": "x"}},
    )
    write_report(folder / "report.html", report)
    return folder / "report.html"


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    program = browser.find()
    if not program:
        pytest.skip(f"none of {', '.join(browser.NAMES)} is installed: no page can be opened")
    opened = browser.Browser(program, tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


def share(picture, color):
    """The share of pixels of that colour."""
    return np.mean(np.abs(picture.astype(int) - color).max(-1) <= 6)


def tab_to(chromium, expression):
    """Presses Tab until that is focused."""
    for _ in range(30):
        chromium.press("Tab")
        if chromium.ask(f"document.activeElement === {expression}"):
            return
    raise AssertionError(f"Tab never came to {expression}")


def test_the_component_is_the_file_that_its_notice_names():
    vendor = resources.files("jaxvsnerf.page").joinpath("vendor")
    (written,) = re.findall(r"`([0-9a-f]{64})`", vendor.joinpath("README.md").read_text())
    data = vendor.joinpath("model-viewer.min.js").read_bytes()
    assert hashlib.sha256(data).hexdigest() == written
    assert "Apache License" in vendor.joinpath("LICENSE").read_text()
    # What would end or hide the script inside a page.
    assert not re.search("</?script", data.decode(), re.IGNORECASE)
    assert "sourceMappingURL" not in viewer_module()


def test_the_page_has_the_component_once_and_only_with_a_model(report_file, monkeypatch):
    html = report_file.read_text()
    assert html.count(viewer_module()) == 1 and html.count("data:model/gltf-binary;base64,") == 1
    assert "<script" not in render_report(Report(title="x"))
    model = report_file.with_name("mesh.glb")
    monkeypatch.setattr(page, "MODEL_LIMIT", model.stat().st_size - 1)
    linked = render_report(Report(title="x", model=model), report_file.parent)
    assert 'href="mesh.glb"' in linked and "<script" not in linked


def test_a_pair_that_is_no_pair_of_columns_is_refused():
    views = Comparison("Views", ["0"], [Column("input", [plain(RED)])], pair=("input", "truth"))
    with pytest.raises(ValueError, match="two of the columns"):
        render_report(Report(title="x", comparisons=[views]))


def test_the_model_is_drawn_in_its_own_colours_and_turns_by_keys(chromium, report_file):
    chromium.open(report_file)
    chromium.wait(LOADED)
    # The side at +x, where the orbit of views begins; its colour is neither lit nor toned.
    assert share(chromium.picture("model-viewer"), RED) > 0.08
    tab_to(chromium, "document.querySelector('model-viewer')")
    chromium.press("ArrowRight", 12)
    turned = "document.querySelector('model-viewer').getCameraOrbit().theta"
    chromium.wait(f"Math.abs({turned} - Math.PI / 2) > 1.4")
    chromium.wait(f"(t => (window.was === t) || (window.was = t, false))({turned})")
    assert share(chromium.picture("model-viewer"), GREEN) > 0.08
    said, asked = chromium.complaints()
    assert not said and asked == [report_file.as_uri()]


def test_the_slider_moves_by_keys_between_any_two_pictures(chromium, report_file):
    chromium.open(report_file)
    half = chromium.picture(STAGE)
    assert 0.3 < share(half, RED) < 0.5 and 0.3 < share(half, GREEN) < 0.5
    middle = half.shape[1] // 2
    assert share(half[:, : middle - 16], RED) > 0.7 and share(half[:, middle + 16 :], GREEN) > 0.7
    tab_to(chromium, "document.querySelector('.stage input')")
    chromium.press("PageUp", 3)
    assert chromium.ask("document.querySelector('.stage input').ariaValueText") == (
        "80 % stage1, 20 % truth"
    )
    assert share(chromium.picture(STAGE), RED) > 0.65
    chromium.press("Home")
    assert share(chromium.picture(STAGE), GREEN) > 0.85

    def choose(index, option):
        chromium.ask(
            f"(s => {{s.selectedIndex = {option}; s.dispatchEvent(new Event('change'))}})"
            f"(document.querySelectorAll('.compare select')[{index}])"
        )

    choose(0, 1)  # the second view
    assert share(chromium.picture(STAGE), YELLOW) > 0.85
    choose(2, 0)  # its input on the right
    assert share(chromium.picture(STAGE), BLUE) > 0.85
    choose(0, 2)  # where there is none
    assert "no picture" in chromium.ask("document.querySelector('.stage').innerText")
    assert not chromium.complaints()[0]


def test_a_phone_shows_all_in_its_width_and_the_slider_follows_a_finger(chromium, report_file):
    chromium.open(report_file, 390, 844)
    chromium.wait(LOADED)
    assert chromium.ask("document.documentElement.scrollWidth") == 390
    assert share(chromium.picture("model-viewer"), RED) > 0.08
    chromium.picture(STAGE)  # scrolls there
    x, y, width, height = chromium.ask(
        "(b => [b.x, b.y, b.width, b.height])"
        "(document.querySelector('.stage').getBoundingClientRect())"
    )
    points = [{"x": x + part * width, "y": y + height / 2} for part in (0.5, 0.3, 0.1)]
    chromium.send("Input.dispatchTouchEvent", type="touchStart", touchPoints=points[:1])
    for point in points[1:]:
        chromium.send("Input.dispatchTouchEvent", type="touchMove", touchPoints=[point])
    chromium.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    assert chromium.ask("+document.querySelector('.stage input').value") == pytest.approx(10, abs=3)


# WCAG 2's contrast of text and the first opaque background behind it, of all words on the page.
CONTRAST = """
(() => {
  const numbers = color => color.match(/[\\d.]+/g).map(Number);
  const light = color => numbers(color).slice(0, 3)
    .map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = node => {
    const color = getComputedStyle(node).backgroundColor;
    return numbers(color)[3] === 0 ? behind(node.parentElement) : color;
  };
  const found = [];
  for (const node of document.querySelectorAll("body *")) {
    if (!node.checkVisibility() || ["SCRIPT", "OPTION"].includes(node.tagName)) continue;
    if (![...node.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    const pair = [light(getComputedStyle(node).color), light(behind(node))].sort((a, b) => b - a);
    found.push((pair[0] + 0.05) / (pair[1] + 0.05));
  }
  return found;
})()
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_light_and_dark(chromium, report_file, scheme):
    chromium.open(report_file, prefers_color_scheme=scheme)
    ratios = chromium.ask(CONTRAST)
    assert len(ratios) > 15 and min(ratios) >= 4.5
    assert (chromium.picture().mean() < 128) == (scheme == "dark")


def test_every_control_has_a_name_and_headings_are_in_order(chromium, report_file):
    chromium.open(report_file)
    chromium.wait(LOADED)
    nodes = chromium.send("Accessibility.getFullAXTree")["nodes"]
    names = {}
    for node in nodes:
        if not node["ignored"]:
            names.setdefault(node["role"]["value"], set()).add(node["name"]["value"].strip())
    for role in ("link", "region", "image"):
        assert names[role] and "" not in names[role], role
    assert names["slider"] == {"Border between the two pictures"}
    assert names["combobox"] == {"view", "Picture on the left", "Picture on the right"}
    levels = chromium.ask("[...document.querySelectorAll('h1,h2,h3')].map(h => +h.tagName[1])")
    assert levels[0] == 1 and 1 not in levels[1:] and max(np.diff(levels)) <= 1


def test_without_scripts_the_pictures_lie_side_by_side(chromium, report_file):
    chromium.open(report_file, scripts=False)
    text = chromium.picture("main")
    assert min(share(text, color) for color in (RED, GREEN, BLUE)) > 0.01
    shown = "document.querySelector({!r}).checkVisibility()"
    assert not chromium.ask(shown.format(".compare")) and chromium.ask(shown.format(".views"))


def test_the_turntable_rests_for_those_who_want_less_motion(chromium, tmp_path):
    write_mp4(tmp_path / "turn.mp4", [plain(BLUE)] * 24)
    write_report(tmp_path / "report.html", Report(title="x", video=tmp_path / "turn.mp4"))
    chromium.open(tmp_path / "report.html")
    chromium.wait("!document.querySelector('video').paused")
    chromium.open(tmp_path / "report.html", prefers_reduced_motion="reduce")
    assert chromium.ask("(v => v.paused && !v.autoplay)(document.querySelector('video'))")


def test_a_browser_without_webgl_says_so(chromium, report_file):
    none = "HTMLCanvasElement.prototype.getContext = () => null"
    added = chromium.send("Page.addScriptToEvaluateOnNewDocument", source=none)
    chromium.open(report_file)
    chromium.send("Page.removeScriptToEvaluateOnNewDocument", **added)
    assert "needs WebGL 2" in chromium.ask("document.querySelector('.hint').textContent")
    assert not chromium.complaints()[0]
