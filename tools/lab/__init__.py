"""Laboratory: real parts that a machine does not have, brought up in a private folder."""
