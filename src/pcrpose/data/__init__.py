"""Images, annotations and the crops a model trains on."""
