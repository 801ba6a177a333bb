"""What operators look at: the queue, one incident as a whole, the history and its figures."""
