"""What an elder's record may say. Pure: the same input gives the same verdict at the same `now`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from care.elders import normalise
from care.elders.ages import OLDEST_YEARS, age_on, local_date, years_before
from care.elders.model import Contact, Draft, Phone, Sex
from care.elders.problems import Problem
from kernel.geo import outside_china
from kernel.phones import is_phone, phone_of
from kernel.resident_id import check_resident_id

NAME_LIMIT, LABEL_LIMIT, ADDRESS_LIMIT, NOTES_LIMIT, NOTE_LIMIT = 60, 20, 200, 4000, 2000
MOST_PHONES, MOST_CONTACTS, MOST_LANGUAGES = 5, 10, 8


@dataclass(frozen=True, slots=True)
class Examined:
    """A draft in its one spelling, what is wrong with it, and what is only worth a second look."""

    draft: Draft
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...] = ()


def examine(draft: Draft, now: datetime) -> Examined:
    """Normalise a draft, take sex and birth date from the ID number, and say what is wrong."""
    draft = _one_spelling(draft)
    problems = [*_about_name(draft), *_about_home(draft), *_about_texts(draft)]
    phones, phone_problems = check_phones(draft.phones)
    draft = replace(draft, phones=phones)
    draft, id_problems, warnings = _about_id_number(draft, now)
    problems += [*phone_problems, *id_problems, *_about_birth(draft, now)]
    age = age_on(draft.birth_date, now)
    if age is not None and 0 <= age < 60:
        warnings.append(Problem("birth_date", "under_60"))
    return Examined(draft, tuple(problems), tuple(warnings))


def _one_spelling(draft: Draft) -> Draft:
    languages = (normalise.plain_text(one) for one in draft.languages)
    return replace(
        draft,
        name=normalise.name_of(draft.name),
        id_number=normalise.id_number_of(draft.id_number),
        address=normalise.address_of(draft.address),
        division_code=draft.division_code.strip(),
        risk_notes=normalise.plain_text(draft.risk_notes, lines=True),
        medical_notes=normalise.plain_text(draft.medical_notes, lines=True),
        access_notes=normalise.plain_text(draft.access_notes, lines=True),
        languages=tuple(dict.fromkeys(one for one in languages if one)),
    )


def _about_name(draft: Draft) -> Iterable[Problem]:
    if not draft.name:
        yield Problem("name", "required")
    elif len(draft.name) > NAME_LIMIT:
        yield Problem("name", "too_long", {"limit": NAME_LIMIT})
    elif not all(char.isalpha() or char in "· -'." for char in draft.name):
        yield Problem("name", "name_characters")


def _about_home(draft: Draft) -> Iterable[Problem]:
    if not draft.division_code:
        yield Problem("division_code", "required")
    elif not (len(draft.division_code) == 12 and _is_digits(draft.division_code)):
        yield Problem("division_code", "division_code")
    if (draft.lat is None) != (draft.lon is None):
        yield Problem("lon" if draft.lon is None else "lat", "position_half")
    elif draft.lat is not None and draft.lon is not None:
        if not (-90 <= draft.lat <= 90 and -180 <= draft.lon <= 180):
            yield Problem("lat", "position_range")
        elif outside_china(draft.lat, draft.lon):
            yield Problem("lat", "position_abroad")


def _about_texts(draft: Draft) -> Iterable[Problem]:
    limits = {
        "address": ADDRESS_LIMIT,
        "risk_notes": NOTES_LIMIT,
        "medical_notes": NOTES_LIMIT,
        "access_notes": NOTES_LIMIT,
    }
    for name, limit in limits.items():
        if len(getattr(draft, name)) > limit:
            yield Problem(name, "too_long", {"limit": limit})
    if len(draft.languages) > MOST_LANGUAGES:
        yield Problem("languages", "too_many", {"limit": MOST_LANGUAGES})
    if any(len(one) > LABEL_LIMIT for one in draft.languages):
        yield Problem("languages", "too_long", {"limit": LABEL_LIMIT})


def _about_id_number(draft: Draft, now: datetime) -> tuple[Draft, list[Problem], list[Problem]]:
    """GB 11643. What the number says fills empty fields and must agree with full ones."""
    if not draft.id_number:
        return draft, [], []
    result = check_resident_id(draft.id_number, now)
    if result.code is not None:
        return draft, [Problem("id_number", result.code)], []
    warnings = [Problem("id_number", code) for code in result.warnings]
    problems: list[Problem] = []
    sex = Sex(result.sex) if result.sex else draft.sex
    if draft.sex not in {Sex.UNKNOWN, sex}:
        problems.append(Problem("sex", "sex_disagrees"))
    if draft.birth_date not in {None, result.birth_date}:
        problems.append(Problem("birth_date", "birth_date_disagrees"))
    if not problems:
        draft = replace(draft, sex=sex, birth_date=result.birth_date)
    return draft, problems, warnings


def _about_birth(draft: Draft, now: datetime) -> Iterable[Problem]:
    if draft.birth_date is None:
        return
    today = local_date(now)
    if draft.birth_date > today:
        yield Problem("birth_date", "date_in_future")
    elif draft.birth_date <= years_before(today, OLDEST_YEARS):
        yield Problem("birth_date", "too_old", {"limit": OLDEST_YEARS})


def check_phones(phones: Sequence[Phone]) -> tuple[tuple[Phone, ...], list[Problem]]:
    """Normalise the elder's own numbers; empty lines are dropped."""
    problems: list[Problem] = []
    kept: list[Phone] = []
    for index, phone in enumerate(phones):
        label = normalise.plain_text(phone.label)
        number = phone_of(phone.number)
        if not phone.number.strip() and not label:
            continue
        if not is_phone(number):
            problems.append(Problem(f"phones.{index}.number", "phone"))
        elif any(other.number == number for other in kept):
            problems.append(Problem(f"phones.{index}.number", "phone_twice"))
        if len(label) > LABEL_LIMIT:
            problems.append(Problem(f"phones.{index}.label", "too_long", {"limit": LABEL_LIMIT}))
        kept.append(replace(phone, label=label, number=number))
    if len(kept) > MOST_PHONES:
        problems.append(Problem("phones", "too_many", {"limit": MOST_PHONES}))
    return tuple(kept), problems


def check_contacts(
    contacts: Sequence[Contact], own_numbers: Iterable[str] = ()
) -> tuple[tuple[Contact, ...], list[Problem]]:
    """Normalise emergency contacts; empty lines are dropped, the order stays."""
    problems: list[Problem] = []
    kept: list[Contact] = []
    own = frozenset(own_numbers)
    for index, contact in enumerate(contacts):
        name = normalise.name_of(contact.name)
        number = phone_of(contact.phone)
        notes = normalise.plain_text(contact.notes)
        if not name and not contact.phone.strip() and not notes:
            continue
        at = f"contacts.{index}"
        if not name:
            problems.append(Problem(f"{at}.name", "required"))
        elif len(name) > NAME_LIMIT:
            problems.append(Problem(f"{at}.name", "too_long", {"limit": NAME_LIMIT}))
        if not is_phone(number):
            problems.append(Problem(f"{at}.phone", "phone"))
        elif number in own:
            problems.append(Problem(f"{at}.phone", "phone_is_own"))
        elif any(other.phone == number for other in kept):
            problems.append(Problem(f"{at}.phone", "phone_twice"))
        if len(notes) > ADDRESS_LIMIT:
            problems.append(Problem(f"{at}.notes", "too_long", {"limit": ADDRESS_LIMIT}))
        kept.append(replace(contact, name=name, phone=number, notes=notes))
    if len(kept) > MOST_CONTACTS:
        problems.append(Problem("contacts", "too_many", {"limit": MOST_CONTACTS}))
    return tuple(kept), problems


def check_text(
    field: str, text: str, limit: int, *, lines: bool = False
) -> tuple[str, list[Problem]]:
    """Normalise a text that must be there and fit."""
    text = normalise.plain_text(text, lines=lines)
    if not text:
        return text, [Problem(field, "required")]
    if len(text) > limit:
        return text, [Problem(field, "too_long", {"limit": limit})]
    return text, []


def date_of(text: str) -> date | None:
    """Read 1943-05-01, 1943/5/1, 1943.5.1, 1943年5月1日 or 19430501; None when it is no date."""
    digits = normalise.plain_text(text)
    for mark in "年月/.":
        digits = digits.replace(mark, "-")
    digits = digits.replace("日", "").split(" ")[0]
    parts = digits.split("-")
    if len(parts) == 1 and len(digits) == 8:
        parts = [digits[:4], digits[4:6], digits[6:]]
    if len(parts) != 3 or not all(_is_digits(part) for part in parts) or len(parts[0]) != 4:
        return None
    try:
        return date(*(int(part) for part in parts))
    except ValueError:
        return None


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def sex_of_word(text: str) -> Sex | None:
    """Read 男, 女, M, F, male, female; an empty word is unknown, anything else None."""
    word = normalise.plain_text(text).lower()
    if not word:
        return Sex.UNKNOWN
    return {
        "男": Sex.MALE, "男性": Sex.MALE, "m": Sex.MALE, "male": Sex.MALE, "1": Sex.MALE,
        "女": Sex.FEMALE, "女性": Sex.FEMALE, "f": Sex.FEMALE, "female": Sex.FEMALE,
        "2": Sex.FEMALE, "未知": Sex.UNKNOWN, "不详": Sex.UNKNOWN, "unknown": Sex.UNKNOWN,
    }.get(word)  # fmt: skip
