"""Archives of a data set: fetched, drawn, or packed from a folder."""
