"""A headless Chromium that opens pages from disk.

Choice: told what to do over a pipe by the DevTools protocol, which every Chromium speaks, in a
few lines: playwright is 40 MB and selenium needs a driver of the browser's version.
"""

import base64
import io
import itertools
import json
import os
import select
import shutil
import subprocess
import sys
import time

import numpy as np
from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 60
# Without a sandbox, as it has none for root and in containers; the pages are our own.
FLAGS = (
    "--headless=new --no-sandbox --no-first-run --disable-gpu-sandbox --use-angle=swiftshader "
    "--enable-unsafe-swiftshader --ignore-gpu-blocklist --disable-dev-shm-usage "
    "--disable-background-networking --disable-component-update --remote-debugging-pipe"
).split()
# The protocol's descriptors are 3 and 4.
START = """
import os, sys
ends = [os.dup(int(end)) for end in sys.argv[1:3]]
for number, end in enumerate(ends, 3):
    os.dup2(end, number)
    os.set_inheritable(number, True)
os.execv(sys.argv[3], sys.argv[3:])
"""
KEYS = {"Tab": 9, "PageUp": 33, "Home": 36, "ArrowLeft": 37, "ArrowRight": 39, "ArrowDown": 40}


def find() -> str | None:
    """A Chromium of this machine."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page at a time; `events` are what the browser said of it."""

    def __init__(self, program, profile):
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        start = [sys.executable, "-c", START, str(commands), str(answers), program, *FLAGS]
        self._process = subprocess.Popen(
            [*start, f"--user-data-dir={profile}"],
            pass_fds=(commands, answers),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(commands)
        os.close(answers)
        self._numbers, self._rest, self.events = itertools.count(1), b"", []
        self._session = None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        opened = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = opened["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def close(self):
        self._process.terminate()
        self._process.wait(SECONDS)
        os.close(self._commands)
        os.close(self._answers)

    def send(self, method, **params):
        """A command's result; what else is said meanwhile goes to `events`."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != number:
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def _read(self):
        while b"\0" not in self._rest:
            if not select.select([self._answers], [], [], SECONDS)[0]:
                raise TimeoutError(f"the browser said nothing for {SECONDS} s")
            data = os.read(self._answers, 1 << 20)
            if not data:
                raise RuntimeError("the browser ended")
            self._rest += data
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def open(self, path, width=800, height=640, scripts=True, **features):
        """Loads a file in a window of that size; features are those of CSS media queries."""
        media = [{"name": k.replace("_", "-"), "value": v} for k, v in features.items()]
        phone = width < 600
        self.send("Emulation.setEmulatedMedia", features=media)
        self.send("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.send("Emulation.setTouchEmulationEnabled", enabled=phone)
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=phone,
        )  # fmt: skip
        self.events.clear()
        self.send("Page.navigate", url=path.as_uri())
        self.wait("document.readyState === 'complete'")

    def ask(self, expression):
        """The value of a JavaScript expression, a promise awaited."""
        answer = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait(self, expression):
        """Waits until it is true."""
        end = time.monotonic() + SECONDS
        while not self.ask(expression):
            if time.monotonic() > end:
                raise TimeoutError(expression)
            time.sleep(0.02)

    def press(self, key, times=1):
        """Presses a key, as often."""
        for _ in range(times):
            for kind in ("rawKeyDown", "keyUp"):
                code = KEYS[key]
                self.send(
                    "Input.dispatchKeyEvent",
                    type=kind, key=key, code=key, windowsVirtualKeyCode=code,
                )  # fmt: skip

    def picture(self, selector=None):
        """What is seen of an element, or of the window: [H, W, 3] uint8."""
        clip = {}
        if selector:
            self.ask(f"document.querySelector({selector!r}).scrollIntoView({{block: 'center'}})")
            box = self.box(selector)
            clip = {"clip": {**box, "scale": 1}}
        data = self.send("Page.captureScreenshot", format="png", **clip)["data"]
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            return np.asarray(image.convert("RGB"))

    def box(self, selector):
        """An element's place in the page, in pixels: x, y, width, height."""
        return self.ask(
            f"(b => ({{x: b.x + scrollX, y: b.y + scrollY, width: b.width, height: b.height}}))"
            f"(document.querySelector({selector!r}).getBoundingClientRect())"
        )

    def complaints(self):
        """Errors said so far, and what was asked of disk or network."""
        said, asked = [], []
        for event in self.events:
            params, method = event.get("params", {}), event.get("method")
            if method == "Runtime.exceptionThrown":
                said.append(params["exceptionDetails"])
            elif method == "Runtime.consoleAPICalled" and params["type"] == "error":
                said.append(params["args"])
            elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
                said.append(params["entry"])
            elif method == "Network.requestWillBeSent":
                asked.append(params["request"]["url"])
        return said, [url for url in asked if not url.startswith(("data:", "blob:"))]
