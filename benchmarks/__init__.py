"""What the product promises in numbers, measured side by side in one run."""
