//! What one request decides from, swapped whole.
