"""What poses are worth: COCO's average precision and the older hit rates."""
