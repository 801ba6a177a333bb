"""Which of our languages a browser asks for."""

import pytest

from kernel import languages


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("en-GB,en;q=0.9,zh;q=0.8", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("fr, en;q=0.4, zh-TW;q=0.6", "zh"),
        ("fr-FR", "zh"),
        ("en;q=x", "zh"),
        ("en;q=0", "zh"),
        ("en;q=nan, zh;q=0.1", "zh"),
        ("en;q=0.1," + "fr;q=1e999;" * 5000, "en"),
        (None, "zh"),
    ],
)
def test_the_browser_s_first_language_of_ours_wins(header: str | None, language: str) -> None:
    assert languages.of_header(header) == language


def test_what_was_chosen_in_the_browser_goes_before_what_it_asks_for() -> None:
    assert languages.of_browser({"locale": "zh"}, "en") == "zh"
    assert languages.of_browser({"locale": "fr"}, "en") == "en"
