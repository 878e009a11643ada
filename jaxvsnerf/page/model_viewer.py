"""The 3D viewer that pages carry inside: the web component <model-viewer>.

Choice: a kept component (Apache-2.0, three.js inside, 1.1 MB) and not three.js alone with a
viewer of our own: it frames the object, turns it by mouse, touch and keys, tells screen readers
what is seen, and leaves unlit colours as they are. `vendor/README.md` says where it is from.
"""

from __future__ import annotations

from importlib import resources


def viewer_module() -> str:
    """JavaScript for an inline `<script type="module">` that defines <model-viewer>."""
    path = resources.files("jaxvsnerf.page").joinpath("vendor/model-viewer.min.js")
    # The last line names a source map that browsers' tools would ask for beside the page.
    return path.read_text(encoding="utf-8").partition("//# sourceMappingURL=")[0]
