"""Dead letters: frames that could not be used, kept with the reason, replayable."""
