"""What a pod asks to be set on its interface, done in the pod's netns, and undone where it would stay behind."""
