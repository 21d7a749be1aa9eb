use super::*;

fn request(echo: u64, original: u64, range: Range<u64>, any_order: bool) -> InputRequest {
    let presented = Arc::new([]);
    let (full, presumed, settled) = (true, false, false);
    InputRequest { echo, original, range, full, presented, any_order, presumed, settled }
}

#[test]
fn requests_are_forgotten_though_one_was_repeated() {
    let mut buffer = SendBuffer::new(1 << 20);
    let mut upload = Upload::new();
    upload.sent(request(1, 1, 0..10, false));
    upload.sent(request(2, 1, 0..10, false));
    upload.settle(1, &buffer);
    for echo in 3..10_000 {
        assert_eq!(buffer.write(&[0; 10]), 10);
        upload.sent(request(echo, echo, 10 * (echo - 3)..10 * (echo - 2), false));
        buffer.acknowledge(10 * (echo - 2), false);
        upload.settle(echo, &buffer);
    }
    assert!(upload.requests.len() <= 3 * REMEMBERED, "{}", upload.requests.len());
    assert!(upload.find(9_999).is_some() && upload.open() == 0);
}

#[test]
fn requests_are_forgotten_though_the_first_is_not_answered() {
    let mut buffer = SendBuffer::new(1 << 20);
    assert_eq!(buffer.write(&[0; 1000]), 1000);
    let mut upload = Upload::new();
    upload.sent(request(1, 1, 0..10, true));
    for echo in 2..10_000 {
        upload.sent(request(echo, echo, 10..20, true));
        upload.settle(echo, &buffer);
    }
    assert!(upload.requests.len() <= 3 * REMEMBERED, "{}", upload.requests.len());
    assert!(upload.find(1).is_some_and(|first| !first.settled));
    assert!(upload.find(9_999).is_some());
}
