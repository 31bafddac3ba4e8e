//! The rules of delivery, by subject: one function for each, named by what one gets.

pub mod basics;
pub mod dead_letters;
pub mod dedup;
pub mod filters;
pub mod flow;
pub mod groups;
pub mod observation;
pub mod order;
pub mod patterns;
pub mod priority;
pub mod replay;
pub mod retry;
pub mod settlement;
pub mod time;
