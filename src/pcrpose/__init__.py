"""Human keypoint detection by Progressive Context Refinement."""
