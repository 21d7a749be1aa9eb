//! Answering at once.

use trickles::server::Application;

use super::EventServer;
use crate::send::Route;

/// Answers to one client leave together once there are so many bytes of them: what one system call takes.
const MAX_TOGETHER: usize = 64 << 10;
/// As long as there are fewer bytes of them, what has been sent is kept beside what has not. Twice as much was
/// slower (benches/README.md).
const MAX_KEPT: usize = 128 << 10;

impl EventServer {
    /// Answers what has been received, as much at a time as can leave together.
    pub(super) async fn answer_batch<A: Application>(&mut self, application: &mut A) {
        let Self { shared, receive, outbox, timer, .. } = self;
        while let Some((_, meta)) = receive.front() {
            let route = Route::back(meta);
            // A run that was dropped may have left something for somebody else.
            outbox.clear();
            let mut sent = 0;
            loop {
                let mut follows = true;
                {
                    let server = &mut shared.lock().server;
                    while outbox.len() - sent < MAX_TOGETHER {
                        let front = receive.front().filter(|(_, meta)| Route::back(meta) == route);
                        let Some((datagram, _)) = front else {
                            follows = false;
                            break;
                        };
                        let now = shared.clock.now();
                        let events = server.stats().events;
                        if let Err(error) = server.handle(datagram, route.to, now, application, outbox) {
                            tracing::warn!(client = %route.to, %error, "the application's answer was not taken");
                        }
                        receive.pass(server.stats().events > events);
                    }
                }
                // What would fill no system call leaves together with the next answer, as long as there is memory.
                let rest = follows && outbox.len() < MAX_KEPT;
                sent = shared.sender.send_from(outbox, sent, rest, route, timer).await;
                if !rest {
                    break;
                }
            }
        }
    }
}
