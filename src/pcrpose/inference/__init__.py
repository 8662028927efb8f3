"""From pictures to poses, and from poses to figures."""
