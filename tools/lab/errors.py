"""What can go wrong in the laboratory, as sentences for the person at the terminal."""


class LabError(Exception):
    """The step failed. The text says what happened and, where there is one, the way out."""

    exit_code = 1


class NotPossibleHereError(LabError):
    """This machine can never do it (not root, not Debian, no right to mount): callers may skip."""

    exit_code = 3
