"""Members of archives, and the records that a source makes of them."""
