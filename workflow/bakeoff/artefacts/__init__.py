"""What stages hand to each other: paths, files that appear whole, predictions, costs, and what made them."""
