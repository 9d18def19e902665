// Filled by the reader's half of this crate.
