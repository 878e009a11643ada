"""3D viewer embedded in pages: the web component <model-viewer>.

Choice: a maintained component (Apache-2.0, three.js inside, 1.1 MB), not three.js with a viewer
of our own: <model-viewer> frames the object, turns with mouse, touch and keys, supports screen
readers, and keeps unlit colours unchanged. `vendor/README.md` names its source.
"""

from __future__ import annotations

from importlib import resources


def viewer_module() -> str:
    """JavaScript for an inline `<script type="module">` that defines <model-viewer>."""
    path = resources.files("jaxvsnerf.page").joinpath("vendor/model-viewer.min.js")
    # The last line names a source map that browsers' developer tools would request.
    return path.read_text(encoding="utf-8").partition("//# sourceMappingURL=")[0]
