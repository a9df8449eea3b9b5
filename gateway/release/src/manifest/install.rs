//! The codec of an install.
