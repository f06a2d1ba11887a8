"""The node's CNI plugins, as far as they give addresses."""
