"""Who may: users, roles, permissions, sessions."""
