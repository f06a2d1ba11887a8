"""Who may take which interface: selectors, rules, and the lifelines that are never given by accident."""
