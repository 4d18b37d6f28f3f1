"""What several adversarial models share, and parts of one that are long enough for a file of their own."""
