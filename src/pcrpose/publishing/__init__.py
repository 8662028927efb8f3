"""What is shown of the pretrained models: figures, pictures, cards."""
