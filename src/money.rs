//! Money: integer micro-credits, checked, rounded nowhere.
