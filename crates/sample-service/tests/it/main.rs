//! Promises of the sample service to people, sagas and events, over its public face and real files.

#[cfg(test)]
mod facility;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod flow_cells;
#[cfg(test)]
mod http;
#[cfg(test)]
mod lives;
#[cfg(test)]
mod measures;
#[cfg(test)]
mod mutations;
#[cfg(test)]
mod qc_sweep;
#[cfg(test)]
mod queue;
#[cfg(test)]
mod reviewed;
mod rules;
#[cfg(test)]
mod saga;
#[cfg(test)]
mod simple_forms;
#[cfg(test)]
mod steps;
#[cfg(test)]
mod sweep;
#[cfg(test)]
mod tables;
#[cfg(test)]
mod work;
