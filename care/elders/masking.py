"""What of a record is shown before somebody asks to see more. Pure."""

from dataclasses import replace

from care.elders.model import Elder, Secret
from kernel.crypto import mask_address, mask_id_number, mask_phone

HIDDEN = "●●●●●●"


def masked(elder: Elder) -> Elder:
    """Return the record with every `Secret` hidden; what is empty stays empty."""
    return replace(
        elder,
        id_number=mask_id_number(elder.id_number),
        address=mask_address(elder.address) if elder.address else "",
        medical_notes=HIDDEN if elder.medical_notes else "",
        access_notes=HIDDEN if elder.access_notes else "",
        phones=tuple(replace(one, number=mask_phone(one.number)) for one in elder.phones),
        contacts=tuple(replace(one, phone=mask_phone(one.phone)) for one in elder.contacts),
        masked=True,
    )


def secrets_of(elder: Elder) -> frozenset[Secret]:
    """Return which secrets the record has at all."""
    there = {
        Secret.ID_NUMBER: elder.id_number,
        Secret.ADDRESS: elder.address,
        Secret.MEDICAL: elder.medical_notes,
        Secret.ACCESS: elder.access_notes,
        Secret.PHONES: elder.phones,
        Secret.CONTACTS: elder.contacts,
    }
    return frozenset(secret for secret, value in there.items() if value)
