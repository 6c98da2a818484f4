//! The live state of every endpoint.
