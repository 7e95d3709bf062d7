"""The browser of this folder's tests."""

import pytest
from playwright.sync_api import sync_playwright

from tests.browser import CHROMIUM


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()
