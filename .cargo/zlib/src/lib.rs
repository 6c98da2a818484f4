//! Pingora compresses with flate2's `zlib-ng` backend, whose C sources want cmake. Freeway strips
//! `accept-encoding` and never compresses, so plain zlib, which has the same functions and needs a
//! C compiler only, takes its place.
#![no_std]
pub use libz_sys::*;
