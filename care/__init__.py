"""Care: the elder and everything that is known, agreed and planned around one."""
