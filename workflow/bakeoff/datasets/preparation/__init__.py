"""From archives to arrays, an index and an audit."""
