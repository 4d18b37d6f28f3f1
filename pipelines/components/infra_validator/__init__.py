"""Infrastructure validation: the candidate model is served, and asked, before it may be pushed."""
