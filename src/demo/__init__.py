"""A page on which models complete what people type."""
