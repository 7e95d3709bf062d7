"""A page in which one types and the models complete."""
