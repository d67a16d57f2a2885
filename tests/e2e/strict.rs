//! Input that is not known is refused by name, and nothing is done.

mod local;
