//! The written forms are the derived ones.

use minicbor::{Decode, Encode};
use proptest::prelude::*;

use crate::clock::Timestamp;
use crate::ledger::record::{Fault, Settled};

/// The lists with the forms that are derived.
#[derive(Encode)]
struct Derived(#[n(0)] Vec<(u64, u32)>, #[n(1)] Vec<Settled>);

#[derive(Debug, PartialEq, Encode, Decode)]
struct Written(
    #[n(0)]
    #[cbor(with = "crate::ledger::form::leases")]
    Vec<(u64, u32)>,
    #[n(1)]
    #[cbor(with = "crate::ledger::form::settles")]
    Vec<Settled>,
);

fn position() -> impl Strategy<Value = u64> {
    // Of every length in bytes.
    (0..64_u32, any::<u64>()).prop_map(|(shift, it)| it >> shift)
}

fn settled() -> impl Strategy<Value = Settled> {
    let fault = || Fault::new(2, Timestamp::from_milliseconds(7), 3, "error", "boom");
    prop_oneof![
        4 => position().prop_map(|position| Settled::Acked { position }),
        1 => position().prop_map(|position| Settled::Released { position }),
        1 => position().prop_map(move |position| Settled::Dead { position, fault: Box::new(fault()) }),
    ]
}

proptest! {
    #[test]
    fn leases_and_settles_are_written_as_their_derived_forms_are(
        leases in prop::collection::vec((position(), any::<u32>()), 0..40),
        settles in prop::collection::vec(settled(), 0..40),
    ) {
        let derived = minicbor::to_vec(Derived(leases.clone(), settles.clone())).unwrap();
        let written = Written(leases, settles);
        prop_assert_eq!(&minicbor::to_vec(&written).unwrap(), &derived);
        prop_assert_eq!(minicbor::decode::<Written>(&derived).unwrap(), written);
    }
}
