"""What `silverline up` brings along so that nothing has to be installed: PostgreSQL, a broker."""
