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

/// What is moved leaves a copy where it was, which nothing wipes as long as nothing else is put there.
#[cfg(target_os = "linux")]
#[test]
fn making_a_key_ring_leaves_no_key_on_the_stack() {
    use std::os::unix::fs::FileExt;

    let secret = |at: u8| at.wrapping_mul(37).wrapping_add(11);
    let text: String = (0..32).map(|at| format!("{:02x}", secret(at))).collect();
    let ring = trickles::key_ring::KeyRing::parse(&format!("1 {text}")).unwrap();
    let local = 0_u8;
    let here = (&raw const local).addr() as u64;
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let stack = maps.lines().find_map(|line| {
        let (start, end) = line.split_once(' ')?.0.split_once('-')?;
        let [start, end] = [start, end].map(|at| u64::from_str_radix(at, 16).unwrap());
        (start..end).contains(&here).then_some(start..end)
    });
    let stack = stack.expect("what is on the stack is in memory");
    let mut contents = vec![0; (stack.end - stack.start) as usize];
    let memory = std::fs::File::open("/proc/self/mem").unwrap();
    let length = memory.read_at(&mut contents, stack.start).unwrap();
    let holds = |mixed: u8, window: &[u8]| (0..).zip(window).all(|(at, &byte)| byte == secret(at) ^ mixed);
    for window in contents[..length].windows(16) {
        // As it is, and as HMAC mixes it with its paddings.
        assert!([0, 0x36, 0x5c].iter().all(|&mixed| !holds(mixed, window)), "the key is on the stack");
    }
    assert_eq!(ring.signing_id(), 1);
}
