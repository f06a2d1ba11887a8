"""How text is read and quoted: names of interfaces, YAML with positions, and the shapes that documents must have."""
