"""`rocade dev`: an application that is restarted when its files change, beside a router that is not."""
