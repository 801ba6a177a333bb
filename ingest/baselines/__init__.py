"""What is ordinary for one elder, and when a vital sign leaves it: median, deviation, drift."""
