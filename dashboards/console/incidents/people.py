"""Who sees what of an elder on an incident's page, and what the others see instead. Pure."""

from dataclasses import replace

from care.elders.masking import HIDDEN
from care.elders.model import ElderCard
from hotline.incidents.model import Incident, Status
from kernel.auth.model import Actor, Permission
from kernel.crypto import mask_address, mask_phone


def handles(actor: Actor, incident: Incident) -> bool:
    """True for whoever may act on it now: nobody holds it, they do, or they supervise."""
    if not actor.may(Permission.INCIDENT_HANDLE):
        return False
    free = incident.acknowledged_by in (None, actor.user_id)
    return free or actor.may(Permission.INCIDENT_SUPERVISE)


def needs_all(actor: Actor, incident: Incident) -> bool:
    """True while the work on an incident needs phone numbers, address and notes in plain text."""
    if not actor.may(Permission.ELDER_REVEAL) or incident.status is Status.RESOLVED:
        return False
    return handles(actor, incident)


def masked_card(card: ElderCard) -> ElderCard:
    """Return the card without what only the work on the incident needs."""
    return replace(
        card,
        address=mask_address(card.address) if card.address else "",
        lat=None,
        lon=None,
        medical_notes=HIDDEN if card.medical_notes else "",
        access_notes=HIDDEN if card.access_notes else "",
        phones=tuple(replace(one, number=mask_phone(one.number)) for one in card.phones),
        contacts=tuple(replace(one, phone=mask_phone(one.phone)) for one in card.contacts),
    )
