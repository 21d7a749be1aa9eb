//! What must stay secret is in no output.

use trickles::client::{Client, ClientConfig};
use trickles::replay::{FilterConfig, FingerprintFilter};
use trickles::time::Timestamp;

/// Asserts that `text` does not show `secret`, in hexadecimal or as numbers.
#[track_caller]
fn assert_hides(text: &str, secret: &[u8]) {
    let text: String = text.to_lowercase().split_whitespace().collect();
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let list: Vec<_> = secret.iter().map(u8::to_string).collect();
    let words = secret.chunks_exact(8).flat_map(|word| {
        let word = word.try_into().expect("eight bytes");
        [u64::from_be_bytes(word), u64::from_le_bytes(word)]
    });
    for shown in words.map(|word| word.to_string()).chain([hex, list.join(",")]) {
        assert!(!text.contains(&shown), "{shown} in {text}");
    }
}

/// Who knows an echo value can answer in the server's place.
#[test]
fn a_client_shows_neither_its_seed_nor_its_echo_values() {
    let (seed, early_input) = (*b"sixteen secrets!", b"Authorization: mine".to_vec());
    let config = ClientConfig { early_input: early_input.clone(), ..ClientConfig::default() };
    let mut client = Client::new(config, seed, Timestamp::ZERO);
    let mut hello = Vec::new();
    assert!(client.poll_transmit(Timestamp::ZERO, &mut hello));
    for text in [format!("{client:?}"), format!("{client:#?}"), format!("{client:x?}")] {
        assert!(text.contains("stats"), "{text}");
        assert_hides(&text, &seed);
        assert_hides(&text, &hello[2..10]);
        assert_hides(&text, &early_input);
    }
}

/// Who knows the key can fill chosen buckets.
#[test]
fn a_replay_filter_does_not_show_its_key() {
    let key = *b"a key of sixteen";
    let config = FilterConfig { cells_per_generation: 1 << 10, ..FilterConfig::default() };
    let filter = FingerprintFilter::new(config, key, Timestamp::ZERO);
    for text in [format!("{filter:?}"), format!("{filter:#?}"), format!("{filter:x?}")] {
        assert!(text.contains("memory"), "{text}");
        assert_hides(&text, &key);
    }
}
