"""Archives of a data set: fetched or drawn."""
