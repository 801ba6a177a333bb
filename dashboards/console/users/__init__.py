"""The administration of accounts (人员)."""
