"""A folder of one's own images taken into the configuration: looked at, and written down with methods to try on it."""
