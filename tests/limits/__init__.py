"""Limits and failed logins, as a configuration file sets them, through real sockets from several addresses."""
