"""What the models of this folder share."""
