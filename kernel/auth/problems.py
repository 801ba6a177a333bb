"""What can be wrong with an account that somebody enters: a code and an English sentence each.

Pages show their own sentence for a code (dashboards/console/account/words.py); a test keeps the two
lists equal.
"""

from collections.abc import Mapping

from kernel.errors import Invalid

SENTENCES: Mapping[str, str] = {
    "required": "This is needed.",
    "too_long": "This is too long.",
    "username_characters": "A username has 2 to 64 of: letters, digits, dot, dash, underscore.",
    "username_taken": "Somebody has this username already.",
    "role_unknown": "There is no such role.",
    "own_rights": "Nobody changes their own roles or division.",
    "disable_self": "Nobody disables their own account.",
    "division_prefix": "A division is the digits of a province, city, county, township or village.",
    "division_unknown": "There is no such division.",
    "division_ambiguous": "Several divisions have this name; enter the code.",
    "division_outside": "This division is outside of your area.",
    "choice_unknown": "This is none of the choices.",
    "password_short": "A password has at least 10 characters.",
    "password_long": "A password has at most 256 characters.",
    "password_is_username": "The password must not be the username.",
    "password_common": "This password is among the first that an attacker tries.",
    "password_same": "This is the password that you have now.",
    "password_wrong": "This is not your present password.",
    "password_repeat": "The two passwords differ.",
}


def invalid(problems: Mapping[str, str]) -> Invalid:
    """Return the error for a code by field; `facts["problems"]` keeps the codes."""
    fields = {field: SENTENCES[code] for field, code in problems.items()}
    sentence = " ".join(f"{field}: {text}" for field, text in fields.items())
    return Invalid(f"The account cannot be stored. {sentence}", fields, problems=dict(problems))


def raise_if(problems: Mapping[str, str]) -> None:
    """Raise Invalid when there is a problem."""
    if problems:
        raise invalid(problems)
