"""The browser of the tests: which one, and how it is started."""

import shutil

# The shell draws and runs pages as the browser does, without the browser around them: each context
# costs a quarter of the work.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((found for name in NAMES if (found := shutil.which(name))), NAMES[0])
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--mute-audio",
    "--autoplay-policy=no-user-gesture-required",
]
