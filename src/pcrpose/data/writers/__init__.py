"""Writers of annotation formats, and the table of them."""
