"""The account form: what was typed, and which division it means."""

from collections.abc import Mapping
from dataclasses import dataclass

from dashboards.console.typed import number_in
from kernel import divisions
from kernel.auth.model import Actor, Role, User
from kernel.auth.users import AccountForm
from kernel.db import Tx
from kernel.divisions import Division

_MOST_CHOICES = 400


@dataclass(frozen=True, slots=True)
class Typed:
    """The fields as they stand in the page, so that nothing typed is lost."""

    username: str = ""
    display_name: str = ""
    roles: frozenset[str] = frozenset()
    division: str = ""
    disabled: bool = False
    version: int = 0

    @classmethod
    def of_form(cls, form: Mapping[str, object]) -> "Typed":
        """Read what a browser sent; a missing field is an empty one."""

        def text(name: str) -> str:
            value = form.get(name, "")
            return value.replace("\0", "").strip() if isinstance(value, str) else ""

        version = text("version")
        return cls(
            username=text("username"),
            display_name=text("display_name"),
            roles=frozenset(role.value for role in Role if text(f"role-{role}")),
            division=text("division"),
            disabled=bool(text("disabled")),
            version=number_in({"version": version}, "version"),
        )

    @classmethod
    def of_user(cls, user: User) -> "Typed":
        """Fill the form with an account."""
        return cls(
            username=user.username,
            display_name=user.display_name,
            roles=frozenset(user.roles),
            division=user.division,
            disabled=user.disabled_at is not None,
            version=user.version,
        )

    def account(self, division: str) -> AccountForm:
        """Return what the service takes."""
        return AccountForm(self.display_name, self.roles, division, self.disabled)


async def resolve_division(tx: Tx, actor: Actor, text: str) -> tuple[str, str | None]:
    """Return the prefix that a code or a name means, and the code of a problem."""
    text = text.strip()
    if text == "":
        return "", None
    if divisions.is_code(text):
        text = divisions.significant_prefix(text)
    if divisions.is_prefix(text):
        known = await divisions.get(tx, divisions.pad(text))
        return text, None if known else "division_unknown"
    if text.isdigit():
        return text, "division_prefix"
    found = await divisions.search(tx, text, scope=actor.division, limit=50)
    exact = [one for one in found if one.name == text] or found
    if not exact:
        return text, "division_unknown"
    if len(exact) > 1:
        return text, "division_ambiguous"
    return divisions.significant_prefix(exact[0].code), None


async def division_choices(tx: Tx, actor: Actor) -> list[Division]:
    """Return what the field offers: the two levels at and below the administrator's division."""
    own = divisions.pad(actor.division) if actor.division else ""
    here = await divisions.get(tx, own) if own else None
    below = await divisions.children(tx, own)
    choices = [here] if here else []
    for one in below:
        choices.append(one)
        if len(choices) < _MOST_CHOICES:
            choices.extend(await divisions.children(tx, one.code))
    return choices[:_MOST_CHOICES]


def short_code(one: Division) -> str:
    """Return the significant part of a division's code."""
    return divisions.significant_prefix(one.code)
