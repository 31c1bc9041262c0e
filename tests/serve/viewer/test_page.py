"""The viewer in a real browser: search, filter, compare, keys, formulas, phone width, dark; hostile text stays text."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from acemath.serve.viewer.server import Server

from .conftest import EVIL, POOL, responses, write_run

LISTED = "return [...document.querySelectorAll('#rows [data-problem]')].map((row) => row.dataset.problem)"
NARROW = "return document.documentElement.scrollWidth <= 390"  # innerWidth grows with the content on a phone


def until(browser: Any, script: str, wanted: Any, seconds: float = 20.0) -> None:
    """Wait until a script gives the wanted value."""
    end = time.monotonic() + seconds
    while (found := browser.execute_script(script)) != wanted:
        assert time.monotonic() < end, f"{script}: {found!r} is not {wanted!r}"
        time.sleep(0.05)


def keys(browser: Any, text: str) -> None:
    """Press keys, wherever the focus is."""
    from selenium.webdriver import ActionChains

    ActionChains(browser).send_keys(text).perform()


def click(browser: Any, selector: str) -> None:
    """Click an element, and look for it again if the page drew it anew in between."""
    from selenium.common.exceptions import StaleElementReferenceException
    from selenium.webdriver.support.ui import WebDriverWait

    def clicked(browser: Any) -> bool:
        browser.find_element("css selector", selector).click()
        return True

    WebDriverWait(browser, 20, 0.05, [StaleElementReferenceException]).until(clicked)


def choose(browser: Any, name: str, value: str) -> None:
    """Choose a value of one of the page's selects."""
    script = "const s = document.getElementById(arguments[0]); s.value = arguments[1]; s.dispatchEvent(new Event('change'))"
    browser.execute_script(script, name, value)


@pytest.mark.browser
def test_in_a_browser(browser: Any, run: Path, tmp_path: Path, served: Callable[..., Server]) -> None:
    """One walk through the page, in the order in which a user would take it."""
    from selenium.webdriver.common.keys import Keys

    changed = POOL | {"p0": [("3", False, 1.0)], "p1": [("7", True, 1.0)]}
    server = served(run, write_run(tmp_path / "two", {"scores-n": responses(changed, "n")}))
    browser.set_window_size(1280, 900)
    browser.get(server.url)
    until(browser, LISTED, ["0", "1", "2", "3"])
    until(browser, "return document.querySelectorAll('#detail .response').length", 4)

    # Hostile text is shown as it is and does nothing; a formula shows its source by a click.
    until(
        browser,
        "return document.querySelector('#detail .text')?.textContent.includes(arguments[0])".replace(
            "arguments[0]", repr(EVIL[:60])
        ),
        True,
    )
    assert browser.execute_script("return window.evil") is None
    made = "return document.querySelectorAll('#detail :is(img, script, a, b, iframe)').length"
    assert browser.execute_script(made) == 0
    browser.execute_script("document.querySelector('#detail .text .math').click()")
    until(browser, "return document.querySelector('#detail .text .math').textContent", "$\\text{<b>}$")

    # Keys: the next problem, its first response, all of them.
    keys(browser, "j")
    until(browser, "return document.querySelector('#detail .id').textContent", "p1")
    keys(browser, Keys.ARROW_RIGHT)
    until(browser, "return document.activeElement.getAttribute('aria-expanded')", "true")
    keys(browser, "e")
    until(browser, "return document.querySelectorAll('#detail .text').length", 4)

    # Search in responses, then a filter that needs the vote.
    keys(browser, "/")
    keys(browser, "number 3 of p2")
    until(browser, LISTED, ["2"])
    until(
        browser,
        "return document.querySelector('#detail .response.found mark')?.textContent",
        "number 3 of p2",
    )
    click(browser, "#clear")
    until(browser, LISTED, ["0", "1", "2", "3"])
    choose(browser, "outcome", "judge-missed")
    until(browser, LISTED, ["1"])
    choose(browser, "outcome", "majority-wrong")
    until(browser, LISTED, ["3"])
    click(browser, "#clear")

    # Two runs beside each other, and what changed; the address brings the same view back.
    choose(browser, "other", "2")
    until(browser, "return document.querySelector('#changes .lost')?.textContent", "1 right → wrong")
    click(browser, "#changes .gained")
    until(browser, LISTED, ["1"])
    until(browser, "return document.querySelectorAll('#detail .side').length", 2)
    browser.refresh()
    until(browser, LISTED, ["1"])

    # Curves, then the phone: nothing is wider than the screen on any of the views.
    keys(browser, "2")
    until(browser, "return document.querySelectorAll('#numbers path.line').length >= 8", True)
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True},
    )
    assert browser.execute_script(NARROW)
    keys(browser, "1")
    until(browser, "return document.querySelectorAll('#detail .side').length", 2)
    assert browser.execute_script(NARROW)
    click(browser, ".back")
    until(browser, "return getComputedStyle(document.getElementById('side')).display", "flex")
    assert browser.execute_script(NARROW)
    browser.execute_script("document.getElementById('more').open = true")
    assert browser.execute_script(NARROW)

    # Dark by the switch; it stays after a reload.
    light = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    keys(browser, "t")
    dark = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert light != dark
    browser.refresh()
    until(browser, "return getComputedStyle(document.body).backgroundColor", dark)
    assert browser.execute_script("return window.evil") is None
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
