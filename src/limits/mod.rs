//! Limits by the minute: exact, in memory, the time an argument.
