//! Promises of the audit service to events, sagas and people, over its public face and real files.

#[cfg(test)]
mod alerts;
#[cfg(test)]
mod chained;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod http;
#[cfg(test)]
mod random_tampering;
#[cfg(test)]
mod reports;
#[cfg(test)]
mod retention;
#[cfg(test)]
mod signed;
#[cfg(test)]
mod subscription;
#[cfg(test)]
mod tampering;
#[cfg(test)]
mod trail;
