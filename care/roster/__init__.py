"""The roster: finding elders, and the list of them."""
