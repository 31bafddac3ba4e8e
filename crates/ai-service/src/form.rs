//! From geometry to the fields of a submission form.
