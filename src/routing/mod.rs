//! Which endpoint should answer, in which order, and why.
