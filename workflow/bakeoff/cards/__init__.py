"""What users of a trained method have to know: model cards, and the note on pictures of patients."""
