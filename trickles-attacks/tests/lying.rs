//! No lie brings a client more than the design allows.

#[test]
fn no_lie_brings_more_than_the_design_allows() {
    let mut violated = Vec::new();
    for attack in trickles_attacks::lying::attacks() {
        let outcome = attack.run().expect("nothing is needed for it");
        println!("{:<58} | {outcome}", attack.name());
        if !outcome.holds() {
            violated.push(attack.name());
        }
    }
    assert!(violated.is_empty(), "{violated:?}");
}
