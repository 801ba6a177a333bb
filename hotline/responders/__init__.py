"""People who can be sent: skills, duty, last position, and who is suggested for an incident."""
