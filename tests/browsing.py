"""The browser of the tests: which one, and how it is started."""

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--mute-audio",
    "--autoplay-policy=no-user-gesture-required",
]
