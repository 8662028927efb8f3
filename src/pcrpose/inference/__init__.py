"""From images to poses, and from poses to metrics."""
