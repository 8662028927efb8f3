"""What several commands share: options, inputs, results."""
