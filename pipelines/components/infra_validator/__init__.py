"""Infrastructure validation: before a model is pushed, a server loads it and answers requests with it."""
