"""Options, inputs and results that several commands share."""
