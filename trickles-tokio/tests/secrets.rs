//! What must stay secret is in no output.

use trickles_tokio::Server;
use trickles_tokio::trickles::key_ring::KeyRing;
use trickles_tokio::trickles::server::ServerConfig;

#[tokio::test]
async fn a_server_does_not_show_its_keys() {
    let key: [u8; 32] = std::array::from_fn(|index| 0xa1 + index as u8);
    let ring = KeyRing::new(&[(1, key)]).unwrap();
    let server = Server::bind("127.0.0.1:0", ServerConfig::default(), ring).await.unwrap();
    for text in [format!("{server:?}"), format!("{server:#?}"), format!("{server:x?}")] {
        assert!(text.contains("stats"), "{text}");
        let text: String = text.to_lowercase().split_whitespace().collect();
        for shown in ["161,162,163", "a1a2a3", "a1,a2,a3", "0xa1"] {
            assert!(!text.contains(shown), "{shown} in {text}");
        }
    }
}
