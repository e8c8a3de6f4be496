"""A sound followed, and steered, from noise to its last step."""
