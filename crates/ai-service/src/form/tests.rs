//! Rules of reading a form, on documents made by hand.
