"""The client, against a real router: in the same process or in one of its own."""
