"""What is shown of the pretrained models: figures, images, cards."""
