"""Where connections meet sessions and realms: gateway, admission, outbox, and HTTP path services."""
