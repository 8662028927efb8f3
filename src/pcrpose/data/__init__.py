"""Pictures, annotations and the crops a model trains on."""
