//! Replies that other people's servers sent, recorded as they came.
