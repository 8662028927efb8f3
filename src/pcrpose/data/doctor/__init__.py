"""The doctor: what is wrong with an annotation file and its pictures, found before a training does."""
