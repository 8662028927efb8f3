"""Drawing: poses, heatmaps, strokes."""
