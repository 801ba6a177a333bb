"""Pages for people outside of the centre: responders now, elders and families later."""
