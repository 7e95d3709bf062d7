"""A web page on which models complete what people type."""
