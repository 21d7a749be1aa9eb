//! What passes without the system's offload.

use trickles_tokio::{Server, TricklesStream};

use super::{ask, read_rest};
use crate::application::Lines;
use crate::server::{any, ring};

const LENGTH: usize = 3_000_000;

#[tokio::test]
async fn either_side_can_do_without_offload() {
    for (at_server, at_client) in [(true, false), (false, true), (false, false)] {
        let mut server = Server::bind(any(), Default::default(), ring()).await.unwrap();
        server.set_offload(at_server);
        let address = server.local_addr().unwrap();
        let transfer = async {
            let builder = TricklesStream::builder().offload(at_client);
            let mut stream = builder.connect(address).await.unwrap();
            ask(&mut stream, LENGTH, 3).await;
            read_rest(&mut stream, 0, LENGTH, 3).await;
        };
        server.run_until(&mut Lines, transfer).await.unwrap();
        assert!(server.stats().sent_bytes > LENGTH as u64);
    }
}
