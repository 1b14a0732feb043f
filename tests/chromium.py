"""A headless Chromium for tests of pages, driven by Selenium and the system's chromedriver.

with opened(file, width=390, dark=True) as browser:
    browser.one(".play").click()
    assert browser.complaints() == []
"""

from __future__ import annotations

import base64
import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BINARIES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")


def missing() -> str | None:
    """Return what is not there to open pages, or None."""
    if importlib.util.find_spec("selenium") is None:
        return "Selenium is not installed: make test-page"
    if not any(map(shutil.which, BINARIES)):
        return "there is no Chromium: apt-get install chromium chromium-driver"
    if shutil.which("chromedriver") is None:
        return "there is no chromedriver: apt-get install chromium-driver"
    return None


class Browser:
    """An open page.

    Args:
        driver: of Selenium.
    """

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def run(self, script: str, *arguments: Any) -> Any:
        """Return what a script returns."""
        return self.driver.execute_script(script, *arguments)

    def all(self, selector: str) -> list[Any]:
        """Return all elements of a selector."""
        return self.driver.find_elements("css selector", selector)

    def one(self, selector: str) -> Any:
        """Return the first element of a selector."""
        return self.driver.find_element("css selector", selector)

    def actions(self) -> Any:
        """Return a chain of movements and clicks."""
        from selenium.webdriver import ActionChains

        return ActionChains(self.driver, duration=30)

    def wait(self, script: str, seconds: float = 10.0) -> Any:
        """Wait until a script returns something true, and return it."""
        from selenium.webdriver.support.ui import WebDriverWait

        wait = WebDriverWait(self.driver, seconds, poll_frequency=0.05)
        return wait.until(lambda _: self.run(script), script)

    def command(self, name: str, **arguments: Any) -> Any:
        """Send a command of Chromium's protocol."""
        return self.driver.execute_cdp_cmd(name, arguments)

    def size(self, width: int, height: int) -> None:
        """Show the page on a screen of a size."""
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 500,
        )  # fmt: skip

    def media(self, *, dark: bool, kind: str = "screen") -> None:
        """Prefer a colour scheme, or print."""
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.command("Emulation.setEmulatedMedia", media=kind, features=features)

    def complaints(self) -> list[str]:
        """Return warnings and errors of the console since the last call."""
        return [f"{e['level']}: {e['message']}" for e in self.driver.get_log("browser")]

    def picture(self, file: Path, most: float = 6000.0) -> None:
        """Save the whole page as a PNG."""
        size = self.command("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(most, size["height"])}
        shot = self.command(
            "Page.captureScreenshot", captureBeyondViewport=True, clip={**clip, "scale": 1}
        )
        file.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def opened(
    file: Path, *, width: int = 1280, height: int = 900, dark: bool = False
) -> Iterator[Any]:
    """Open a page, and close the browser afterwards."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = next(filter(None, map(shutil.which, BINARIES)))
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = Service(str(shutil.which("chromedriver")))
    driver = webdriver.Chrome(options=options, service=service)
    try:
        browser = Browser(driver)
        browser.size(width, height)
        browser.media(dark=dark)
        driver.get(file.resolve().as_uri())
        yield browser
    finally:
        driver.quit()
