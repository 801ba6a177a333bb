"""When nobody acts: policies, deadlines, the duty phone."""
