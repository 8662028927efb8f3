"""What is published beside a model's weights: measurements and the model card."""
