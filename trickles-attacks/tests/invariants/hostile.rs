//! Servers that answer a client's input with whatever they like.

use proptest::prelude::*;

use crate::cases;
use trickles_attacks::fuzz::serve_hostile;
use trickles_attacks::lab::Choices;

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn no_answer_to_input_makes_a_client_panic_or_spin(
        seed in any::<u64>(),
        hostility in 0u64..100,
        finishes in any::<bool>(),
    ) {
        serve_hostile(&mut Choices::seeded(seed), hostility, finishes);
    }
}
