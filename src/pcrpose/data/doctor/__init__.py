"""The doctor: what is wrong with an annotation file and its images, found before a training does."""
