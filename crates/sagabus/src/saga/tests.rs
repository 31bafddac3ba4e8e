//! Rules of sagas, through the orchestrator over a store in memory whose time is paused.

mod bed;
mod cancel;
mod compensation;
mod crash;
mod definition;
mod events;
mod fence;
mod fields;
mod golden;
mod graph;
mod handlers;
mod invariants;
mod late;
mod limits;
mod operator;
mod pivot;
mod play;
mod record;
mod scope;
mod shutdown;
mod start;
mod steps;
mod store;
mod stored;
mod time;
mod wait;
